"""Calls over a Unix socket to gRPC's own server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from grpc import StatusCode

from service.triton import http2, streams
from tests.service.triton.unary_calls import ECHO, calls_to, echo, failure_of, grpc_server, run


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_531, 1_000_000, 20_000_000])
def test_messages_of_any_size_come_whole(tmp_path: Path, size: int) -> None:
    message = (bytes(range(256)) * (size // 256 + 1))[:size]

    async def test() -> None:
        async with grpc_server(tmp_path / "s", echo), calls_to(tmp_path / "s") as calls:
            for _ in range(3):
                assert await calls.call(ECHO, message, 20) == message

    run(test)


def test_many_large_calls_side_by_side_share_the_windows(tmp_path: Path) -> None:
    async def test() -> None:
        async with grpc_server(tmp_path / "s", echo), calls_to(tmp_path / "s") as calls:
            messages = [bytes([number]) * (1 + 40_000 * (number % 7)) for number in range(60)]
            answers = await asyncio.gather(*(calls.call(ECHO, each, 20) for each in messages))
            assert answers == messages

    run(test)


def test_more_bytes_come_than_one_window_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The window of the connection is opened again and again.
    monkeypatch.setattr(streams, "WIDEN", 1)
    monkeypatch.setattr(streams, "RENEW_BYTES", 30_000)

    async def test() -> None:
        async with grpc_server(tmp_path / "s", echo), calls_to(tmp_path / "s") as calls:
            message = b"x" * 3_000_000
            assert await calls.call(ECHO, message, 20) == message

    run(test)


def test_metadata_and_the_deadline_reach_the_server(tmp_path: Path) -> None:
    seen: list[tuple[dict[str, Any], float]] = []

    async def look(message: bytes, context: Any) -> bytes:
        seen.append((dict(context.invocation_metadata()), context.time_remaining()))
        return message

    async def test() -> None:
        async with grpc_server(tmp_path / "s", look), calls_to(tmp_path / "s") as calls:
            await calls.call(ECHO, b"", 7.5, (("traceparent", "00-" + "1" * 150),))

    run(test)
    ((metadata, seconds),) = seen
    assert metadata["traceparent"] == "00-" + "1" * 150
    assert 7 < seconds <= 7.51


@pytest.mark.parametrize("code", [code for code in StatusCode if code is not StatusCode.OK])
def test_statuses_come_with_their_words(tmp_path: Path, code: StatusCode) -> None:
    async def refuse(_message: bytes, context: Any) -> bytes:
        await context.abort(code, "100 % of it: größer\nthan told")
        return b""

    async def test() -> None:
        async with grpc_server(tmp_path / "s", refuse), calls_to(tmp_path / "s") as calls:
            failed = await failure_of(calls.call(ECHO, b"x" * 200_000, 5))
            assert (failed.code(), failed.details()) == (code, "100 % of it: größer\nthan told")
            unknown = await failure_of(calls.call("/test/Other", b"", 5))
            assert unknown.code() is StatusCode.UNIMPLEMENTED

    run(test)


def test_a_call_in_vain_is_cancelled_at_the_server_and_others_go_on(tmp_path: Path) -> None:
    cancelled = asyncio.Event()

    async def slow(message: bytes, _context: Any) -> bytes:
        if message == b"slow":
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                cancelled.set()
                raise
        return message

    async def test() -> None:
        async with grpc_server(tmp_path / "s", slow), calls_to(tmp_path / "s") as calls:
            failed = await failure_of(calls.call(ECHO, b"slow", 0.2))
            assert failed.code() is StatusCode.DEADLINE_EXCEEDED
            await cancelled.wait()
            cancelled.clear()
            task = asyncio.create_task(calls.call(ECHO, b"slow", 20))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await cancelled.wait()
            assert await calls.call(ECHO, b"quick", 5) == b"quick"

    run(test)


def test_no_server_or_one_that_ends_is_unavailable_and_one_that_comes_is_found(
    tmp_path: Path,
) -> None:
    async def slow(message: bytes, _context: Any) -> bytes:
        await asyncio.sleep(20 if message == b"slow" else 0)
        return message

    async def test() -> None:
        async with calls_to(tmp_path / "s") as calls:
            failed = await failure_of(calls.call(ECHO, b"", 5))
            assert failed.code() is StatusCode.UNAVAILABLE
            async with grpc_server(tmp_path / "s", slow):
                assert await calls.call(ECHO, b"a", 5) == b"a"
                waiting = asyncio.create_task(calls.call(ECHO, b"slow", 20))
                await asyncio.sleep(0.1)
            failed = await failure_of(waiting)
            assert failed.code() in (StatusCode.UNAVAILABLE, StatusCode.CANCELLED)
            async with grpc_server(tmp_path / "s", slow):
                assert await calls.call(ECHO, b"b", 5) == b"b"
        assert (await failure_of(calls.call(ECHO, b"", 5))).code() is StatusCode.UNAVAILABLE

    run(test)


def test_a_server_that_ends_in_order_answers_what_it_has_and_others_are_asked_anew(
    tmp_path: Path,
) -> None:
    """Told to make connections old after 0.3 s, it says farewell to each."""
    peers: list[str] = []

    async def slow(message: bytes, context: Any) -> bytes:
        peers.append(context.peer())
        await asyncio.sleep(0.05)
        return message

    async def test() -> None:
        age = {"grpc.max_connection_age_ms": 300, "grpc.max_connection_age_grace_ms": 2000}
        async with grpc_server(tmp_path / "s", slow, **age), calls_to(tmp_path / "s") as calls:
            connections = set()
            for number in range(30):
                message = b"%d" % number
                assert await calls.call(ECHO, message, 5) == message
                connections.add(id(calls._connection))
            assert len(connections) > 1

    run(test)
    assert len(peers) == 30


def test_numbers_that_are_used_up_begin_anew_on_another_connection(tmp_path: Path) -> None:
    async def test() -> None:
        async with grpc_server(tmp_path / "s", echo), calls_to(tmp_path / "s") as calls:
            await calls.call(ECHO, b"a", 5)
            before = calls._connection
            assert before is not None
            before._next_stream = http2.MOST_BYTES
            assert await calls.call(ECHO, b"last", 5) == b"last"
            assert await calls.call(ECHO, b"first", 5) == b"first"
            assert calls._connection is not before

    run(test)


def test_an_answer_that_is_too_large_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "MAX_MESSAGE_BYTES", 100_000)

    async def test() -> None:
        async with grpc_server(tmp_path / "s", echo), calls_to(tmp_path / "s") as calls:
            failed = await failure_of(calls.call(ECHO, bytes(100_001), 5))
            assert failed.code() is StatusCode.RESOURCE_EXHAUSTED
            assert await calls.call(ECHO, b"a", 5) == b"a"

    run(test)

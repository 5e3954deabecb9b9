"""The client of the trials: it keeps answers, and never sends anything twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from chaos import connections as module
from chaos.connections import Answer, Broken, Connections
from tests.chaos.server import Replies, reply, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def exchanged(
    replies: Replies, requests: int, between: Callable[[], Awaitable[None]] | None = None
) -> tuple[list[Answer], list[int]]:
    async def run() -> tuple[list[Answer], list[int]]:
        async with serving(replies) as (port, served):
            client = Connections("127.0.0.1", port)
            answers = []
            for _ in range(requests):
                answers.append(await client.exchange(REQUEST))
                if between is not None:
                    await between()
            client.close()
            return answers, list(served)

    return asyncio.run(run())


def test_an_answer_is_kept_whole_and_its_connection_used_again() -> None:
    answers, served = exchanged(lambda _: reply(201, b"body", "X-One: Two"), 3)
    assert [answer.status for answer in answers] == [201] * 3
    assert answers[0].content == b"body"
    assert answers[0].headers["x-one"] == "Two"
    assert served == [3]


def test_a_connection_that_was_told_to_close_is_not_used_again() -> None:
    _, served = exchanged(lambda _: reply(200, b"", "Connection: close"), 3)
    assert served == [1, 1, 1]


def test_a_connection_idle_for_too_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_IDLE_SECONDS", 0.02)

    async def pause() -> None:
        await asyncio.sleep(0.05)

    assert exchanged(lambda _: reply(200), 2, pause)[1] == [1, 1]


def test_a_connection_closed_without_an_answer_is_broken_and_nothing_is_sent_again() -> None:
    async def run() -> list[int]:
        async with serving(lambda _: b"") as (port, served):
            with pytest.raises(Broken):
                await Connections("127.0.0.1", port).exchange(REQUEST)
            return list(served)

    assert asyncio.run(run()) == [1]


def test_what_is_no_http_is_broken() -> None:
    with pytest.raises(Broken, match="no HTTP"):
        exchanged(lambda _: b"SSH-2.0-x\r\n\r\n", 1)


def test_nobody_listens() -> None:
    async def run() -> None:
        async with serving(lambda _: b"") as (port, _):
            pass
        await Connections("127.0.0.1", port).exchange(REQUEST)

    with pytest.raises(Broken, match="ConnectionRefusedError"):
        asyncio.run(run())

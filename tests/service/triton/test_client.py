"""The Triton client against a fake Triton at the wire: over TCP, and over a Unix socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from service.errors import BackendError, BackendUnavailable, DeadlineExceeded, QueueFull
from service.triton.client import TritonClient
from service.triton.failures import ERROR_RULES, error_for
from service.triton.ports import reserve_port
from tests.fake_triton import FakeTriton, running_fake_triton, sums

IDS = np.array([[101, 7, 102, 0], [101, 102, 0, 0]], dtype=np.int64)
MASK = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], dtype=np.int64)

Check = Callable[[FakeTriton, TritonClient], Awaitable[None]]


@asynccontextmanager
async def connected(target: str) -> AsyncIterator[TritonClient]:
    client = TritonClient(target)
    try:
        yield client
    finally:
        await client.close()


WithFake = Callable[[Check], None]


@pytest.fixture(params=["tcp", "unix"])
def with_fake(request: pytest.FixtureRequest, tmp_path: Path) -> WithFake:
    """Runs a check; over TCP gRPC's library asks models, over a Unix socket we do."""
    address = "127.0.0.1" if request.param == "tcp" else f"unix:{tmp_path / 'grpc'}"

    def run_check(check: Check) -> None:
        async def run() -> None:
            async with (
                running_fake_triton(address=address) as fake,
                connected(fake.target) as client,
            ):
                await check(fake, client)

        asyncio.run(run())

    return run_check


async def ask(client: TritonClient, **changes: Any) -> np.ndarray:
    arguments = {"timeout_ms": 5000, "priority": 1} | changes
    return await client.infer("tiny", IDS, MASK, **arguments)


def test_answer_has_the_rows_of_the_request(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        answer = await ask(client)
        assert answer.dtype == np.float32
        np.testing.assert_array_equal(answer, [[210, 3], [203, 2]])

    with_fake(check)


def test_request_carries_tensors_deadline_priority_and_id(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        await ask(client, timeout_ms=1234.5, priority=2, request_id="abc")
        (request,) = fake.requests
        assert request.id == "abc"
        assert request.parameters["timeout"].int64_param == 1_234_500
        assert request.parameters["priority"].uint64_param == 2
        shapes = {tensor.name: list(tensor.shape) for tensor in request.inputs}
        assert list(shapes) == ["input_ids", "attention_mask", "token_type_ids"]
        assert all(shape == [2, 4] for shape in shapes.values())
        assert request.raw_input_contents[2] == bytes(2 * 4 * 8)

    with_fake(check)


def test_arrays_of_any_layout_are_sent_right(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        wide = np.repeat(IDS, 2, axis=1)[:, ::2]
        answer = await client.infer(
            "tiny", wide.astype(np.int32), np.asfortranarray(MASK), timeout_ms=5000, priority=1
        )
        np.testing.assert_array_equal(answer, sums(IDS, MASK))

    with_fake(check)


def test_health_and_metadata(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        assert await client.live()
        assert await client.models_ready(["tiny", "other"]) == {"tiny": True, "other": False}
        metadata = await client.metadata("tiny")
        assert metadata.versions == ("1",)
        assert metadata.outputs == (("logits", "FP32", (-1, 2)),)
        with pytest.raises(BackendUnavailable):
            await client.metadata("other")

    with_fake(check)


def test_late_answer_is_a_deadline_error_and_reaches_triton_as_a_cancellation(
    with_fake: WithFake,
) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.delay_seconds = 5
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await ask(client, timeout_ms=100)
        assert time.monotonic() - begun < 2
        await until(lambda: fake.cancelled == 1)

    with_fake(check)


def test_no_time_left_is_not_sent(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        with pytest.raises(DeadlineExceeded):
            await ask(client, timeout_ms=0)
        assert fake.requests == []

    with_fake(check)


def test_cancelled_task_cancels_the_request(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.delay_seconds = 5
        task = asyncio.create_task(ask(client))
        await until(lambda: len(fake.requests) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: fake.cancelled == 1)

    with_fake(check)


def test_closing_fails_calls_under_way_and_later_ones(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.delay_seconds = 5
        task = asyncio.create_task(ask(client))
        await until(lambda: len(fake.requests) == 1)
        await client.close()
        with pytest.raises(BackendUnavailable):
            await task
        with pytest.raises(BackendUnavailable):
            await ask(client)

    with_fake(check)


def test_unknown_model_is_unavailable(with_fake: WithFake) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.models.clear()
        with pytest.raises(BackendUnavailable, match="not ready"):
            await ask(client)

    with_fake(check)


def test_no_triton_is_unavailable_at_once() -> None:
    async def run() -> None:
        port = reserve_port("127.0.0.1", 0, "test", "--port")
        async with connected(f"127.0.0.1:{port}") as client:
            begun = time.monotonic()
            with pytest.raises(BackendUnavailable, match="cannot be reached"):
                await ask(client)
            assert time.monotonic() - begun < 2
            assert not await client.live()
            assert not await client.ready("tiny")

    asyncio.run(run())


def test_a_triton_that_comes_later_is_found_within_seconds() -> None:
    async def run() -> None:
        async with running_fake_triton() as fake, connected(fake.target) as client:
            await ask(client)
            target = fake.target
        async with connected(target) as client:
            with pytest.raises(BackendUnavailable):
                await ask(client)
            async with running_fake_triton(port=int(target.split(":")[1])):
                begun = time.monotonic()
                while not await client.live():
                    assert time.monotonic() - begun < 5
                    await asyncio.sleep(0.05)

    asyncio.run(run())


def test_several_tritons_behind_one_target_take_turns() -> None:
    async def run() -> None:
        async with (
            running_fake_triton() as one,
            running_fake_triton() as two,
            connected(f"ipv4:{one.target},{two.target}") as client,
        ):
            await until(lambda: bool(one.requests and two.requests), lambda: ask(client))

    asyncio.run(run())


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        ("UNAVAILABLE", "[request id: x] Exceeds maximum queue size", QueueFull),
        ("UNAVAILABLE", "Request timeout expired", QueueFull),
        ("UNAVAILABLE", "Socket closed", BackendUnavailable),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceeded),
        ("INTERNAL", "Stub process 'tiny_0_0' is not healthy.", BackendUnavailable),
        ("INTERNAL", "the engine failed: secret path", BackendError),
        ("INVALID_ARGUMENT", "inference request batch-size must be <= 32", BackendError),
    ],
)
def test_failures_of_triton_become_our_errors(
    with_fake: WithFake, code: str, details: str, error: type
) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.failure = (grpc.StatusCode[code], details)
        with pytest.raises(error) as caught:
            await ask(client)
        assert type(caught.value) is error
        assert "secret" not in str(caught.value)
        cause: Any = caught.value.__cause__
        assert cause.code().name == code  # which traces show
        fake.failure = None
        assert len(await ask(client)) == 2

    with_fake(check)


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_every_grpc_status_has_a_rule_for_any_message(code: grpc.StatusCode) -> None:
    rules = [words for rule_code, words, _, _ in ERROR_RULES if rule_code is code]
    assert rules[-1:] == [""], "the rule for all messages must exist and come last"
    assert str(error_for(code, "words that no rule knows"))


def drop_output(response: Any) -> None:
    del response.outputs[:]


def wrong_type(response: Any) -> None:
    response.outputs[0].datatype = "FP64"


def wrong_rows(response: Any) -> None:
    response.outputs[0].shape[0] = 3


def wrong_rank(response: Any) -> None:
    response.outputs[0].shape.append(1)


def short_content(response: Any) -> None:
    response.raw_output_contents[0] = response.raw_output_contents[0][:-4]


@pytest.mark.parametrize(
    "override", [drop_output, wrong_type, wrong_rows, wrong_rank, short_content]
)
def test_malformed_answers_are_errors(with_fake: WithFake, override: Callable[[Any], None]) -> None:
    async def check(fake: FakeTriton, client: TritonClient) -> None:
        fake.override = override
        with pytest.raises(BackendError):
            await ask(client)

    with_fake(check)


async def until(
    reached: Callable[[], bool], step: Callable[[], Awaitable[Any]] | None = None
) -> None:
    """Wait for a state that is only a moment away, taking a step each time."""
    deadline = time.monotonic() + 5
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        await (step() if step else asyncio.sleep(0.01))

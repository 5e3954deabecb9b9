"""What the embedded Triton answers through our backend and our client."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from google.protobuf import json_format

from core.buckets import bucket_length
from service.errors import BackendError, BackendUnavailable, DeadlineExceeded, QueueFull
from service.triton.client import TritonClient
from service.triton.probe import Probe
from service.triton.repository import embedded_config, read_config
from service.triton.server import EmbeddedTriton
from tests.fake_triton import sums

pytestmark = pytest.mark.live

LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384)

Use = Callable[[TritonClient], Awaitable[None]]


def with_client(server: EmbeddedTriton, use: Use) -> None:
    async def run() -> None:
        client = TritonClient(server.grpc_target)
        try:
            await use(client)
        finally:
            await client.close()

    asyncio.run(run())


def text_of(tokens: int, seed: int = 0, rows: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask of made-up texts of so many tokens, padded to their bucket."""
    length = bucket_length(tokens)
    ids = np.zeros((rows, length), dtype=np.int64)
    mask = np.zeros_like(ids)
    ids[:, :tokens] = np.random.default_rng(seed).integers(1, 1000, (rows, tokens))
    mask[:, :tokens] = 1
    return ids, mask


async def ask(
    client: TritonClient, model: str, inputs: tuple[np.ndarray, np.ndarray], **changes: Any
) -> np.ndarray:
    return await client.infer(model, *inputs, **({"timeout_ms": 20_000, "priority": 1} | changes))


def counter(server: EmbeddedTriton, name: str, model: str) -> float:
    with urllib.request.urlopen(server.metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf'^{name}{{model="{model}",version="1"}} (\S+)', text, re.MULTILINE)
    assert found is not None, f"{name} of {model} is not among Triton's metrics"
    return float(found[1])


@pytest.mark.parametrize("tokens", [1, 16, 17, 100, 512])
@pytest.mark.parametrize("rows", [1, 32])
def test_answers_are_those_of_the_engine(
    tiny_triton: EmbeddedTriton, tokens: int, rows: int
) -> None:
    async def use(client: TritonClient) -> None:
        inputs = text_of(tokens, seed=tokens, rows=rows)
        np.testing.assert_array_equal(await ask(client, "tiny", inputs), sums(*inputs))

    with_client(tiny_triton, use)


def test_batching_fires_and_everyone_gets_their_own_answer(tiny_triton: EmbeddedTriton) -> None:
    async def use(client: TritonClient) -> None:
        texts = [text_of(5 + 7 * (index % 12), seed=index) for index in range(240)]
        answers = await asyncio.gather(*(ask(client, "slow", text) for text in texts))
        for text, answer in zip(texts, answers, strict=True):
            np.testing.assert_array_equal(answer, sums(*text))

    requests = counter(tiny_triton, "nv_inference_count", "slow")
    executions = counter(tiny_triton, "nv_inference_exec_count", "slow")
    with_client(tiny_triton, use)
    requests = counter(tiny_triton, "nv_inference_count", "slow") - requests
    executions = counter(tiny_triton, "nv_inference_exec_count", "slow") - executions
    assert requests == 240
    assert requests / executions > 1.5


def test_a_request_that_fails_does_not_fail_its_batch_mates(tiny_triton: EmbeddedTriton) -> None:
    async def use(client: TritonClient) -> None:
        good = [text_of(10 + index % 20, seed=index) for index in range(30)]
        bad = text_of(10)
        bad[0][0, 3] = 5000  # outside the engine's table
        asked = [ask(client, "slow", text) for text in good[:15]]
        asked.append(ask(client, "slow", bad))
        asked += [ask(client, "slow", text) for text in good[15:]]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        failure = answers.pop(15)
        assert isinstance(failure, BackendError)
        assert not isinstance(failure, BackendUnavailable)
        for text, answer in zip(good, answers, strict=True):
            assert isinstance(answer, np.ndarray), answer
            np.testing.assert_array_equal(answer, sums(*text))

    with_client(tiny_triton, use)


@pytest.mark.parametrize("model", ["slow", "ranked"])
def test_no_request_is_left_waiting_when_others_are_under_way(
    tiny_triton: EmbeddedTriton, model: str
) -> None:
    # With priorities or a queue policy, this Triton would strand the second request for 500 ms.
    async def use(client: TritonClient) -> None:
        alone = await seconds(ask(client, model, text_of(10)))
        slowest = 0.0
        for _ in range(8):
            first = asyncio.create_task(seconds(ask(client, model, text_of(10))))
            await asyncio.sleep(alone / 3)
            second = asyncio.create_task(seconds(ask(client, model, text_of(20))))
            slowest = max(slowest, await first, await second)
        assert slowest < 0.4 + 2 * alone

    with_client(tiny_triton, use)


def test_late_requests_leave_the_queue(tiny_triton: EmbeddedTriton) -> None:
    asked = 200

    async def use(client: TritonClient) -> None:
        texts = [text_of(LENGTHS[index % len(LENGTHS)]) for index in range(asked)]
        calls = (ask(client, "slow", text, timeout_ms=60) for text in texts)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        late = [answer for answer in answers if isinstance(answer, DeadlineExceeded)]
        assert len(late) > asked / 2
        assert all(isinstance(answer, np.ndarray | DeadlineExceeded) for answer in answers)
        await ask(client, "slow", text_of(10))  # comes after all that still ran

    executed = counter(tiny_triton, "nv_inference_count", "slow")
    with_client(tiny_triton, use)
    executed = counter(tiny_triton, "nv_inference_count", "slow") - executed
    # Triton does not take back what it has handed on: the batch that runs and two after it, of
    # up to 32 each.
    assert executed < asked * 0.75


def test_refusals_of_a_triton_with_a_queue_policy_are_told_apart(
    tiny_triton: EmbeddedTriton,
) -> None:
    # As a Triton deployed elsewhere may have it: the model's own configuration, unchanged.
    config = read_config(tiny_triton.repository / "slow" / "config.pbtxt")
    policy = config.dynamic_batching.default_queue_policy
    policy.max_queue_size = 4
    policy.default_timeout_microseconds = 10_000_000
    policy.allow_timeout_override = True

    async def use(client: TritonClient) -> None:
        texts = [text_of(tokens) for tokens in LENGTHS] * 2
        asked = (ask(client, "slow", text) for text in texts)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        kinds = Counter(str(answer) for answer in answers if isinstance(answer, QueueFull))
        assert kinds["the model's queue is full"] > 5
        assert any(isinstance(answer, np.ndarray) for answer in answers)

    reload(tiny_triton, "slow", json_format.MessageToJson(config))
    try:
        with_client(tiny_triton, use)
    finally:
        reload(tiny_triton, "slow", embedded_config(tiny_triton.repository / "slow"))


def reload(server: EmbeddedTriton, model: str, config: str) -> None:
    with Probe(server.grpc_target) as probe:
        assert probe.load({model: config}, server.control_metadata, timeout_seconds=20) == {}


@pytest.mark.parametrize("priority", [1, 2])
def test_priority_is_accepted_where_the_model_has_none(
    tiny_triton: EmbeddedTriton, priority: int
) -> None:
    async def use(client: TritonClient) -> None:
        inputs = text_of(10)
        answer = await ask(client, "tiny", inputs, priority=priority)
        np.testing.assert_array_equal(answer, sums(*inputs))

    with_client(tiny_triton, use)


def test_health_and_metadata(tiny_triton: EmbeddedTriton) -> None:
    async def use(client: TritonClient) -> None:
        assert await client.live()
        assert await client.models_ready(["tiny", "absent"]) == {"tiny": True, "absent": False}
        metadata = await client.metadata("tiny")
        assert metadata.outputs == (("logits", "FP32", (-1, 2)),)
        with pytest.raises(BackendUnavailable):
            await ask(client, "absent", text_of(5))
        with pytest.raises(BackendError):  # more rows than max_batch_size
            await ask(client, "tiny", text_of(5, rows=33))

    with_client(tiny_triton, use)


async def seconds(awaitable: Awaitable[Any]) -> float:
    begun = time.monotonic()
    await awaitable
    return time.monotonic() - begun

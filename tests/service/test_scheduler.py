"""The scheduler over a backend that takes a known time, one call after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.cost import CostLine, Line
from service.errors import BackendError, DeadlineExceeded, Refused
from service.jobs import Job
from service.metrics import Metrics
from service.scheduler import Scheduler

OVERHEAD_MS, MS_PER_TOKEN = 4.0, 0.1


class Engine:
    """Runs calls one at a time, as one engine would; a row's output is its number of tokens."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self.cancelled = 0
        self.failure: Exception | None = None
        self.extra_seconds = 0.0
        self._lock = asyncio.Lock()

    async def infer(self, model: str, ids: Any, mask: Any, **_: Any) -> Any:
        lengths = mask.sum(axis=1)
        self.calls.append((model, lengths.tolist()))
        if self.failure is not None:
            raise self.failure
        try:
            async with self._lock:
                took_ms = OVERHEAD_MS + MS_PER_TOKEN * int(lengths.sum())
                await asyncio.sleep(took_ms / 1000 + self.extra_seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return lengths[:, None].astype(np.float32)


class Bench:
    """A scheduler with two models over one engine."""

    def __init__(self, share: float = 1.0, call_tokens: int = 256) -> None:
        self.engine = Engine()
        lines = {name: CostLine(Line(OVERHEAD_MS, MS_PER_TOKEN)) for name in ("a", "b")}
        self.lines = lines
        metrics = Metrics(CollectorRegistry())
        self.scheduler = Scheduler(
            self.engine, lines, metrics, shares=dict.fromkeys(lines, share), call_tokens=call_tokens
        )

    def run(
        self,
        *lengths: int,
        model: str = "a",
        bulk: bool = False,
        aside: bool = False,
        seconds: float = 5.0,
    ) -> asyncio.Task[Any]:
        job = Job(
            model=model,
            rows=[[7] * length for length in lengths],
            deadline=time.monotonic() + seconds,
            bulk=bulk,
            aside=aside,
            answer=asyncio.get_running_loop().create_future(),
        )
        return asyncio.get_running_loop().create_task(self.scheduler.run(job))


def scenario(test: Callable[[Bench], Awaitable[None]], **options: Any) -> None:
    async def main() -> None:
        bench = Bench(**options)
        await test(bench)
        assert bench.scheduler.backlog.empty

    asyncio.run(main())


def test_a_lone_job_is_sent_at_once() -> None:
    async def test(bench: Bench) -> None:
        assert (await bench.run(20, 30)).tolist() == [[20], [30]]
        assert bench.engine.calls == [("a", [20, 30])]

    scenario(test)


def test_rows_that_wait_travel_together_and_each_gets_its_own() -> None:
    async def test(bench: Bench) -> None:
        answers = await asyncio.gather(*(bench.run(20 + i) for i in range(9)))
        assert [answer.tolist() for answer in answers] == [[[20 + i]] for i in range(9)]
        assert len(bench.engine.calls) <= 3
        assert max(len(lengths) for _, lengths in bench.engine.calls) >= 5

    scenario(test)


def test_a_call_stays_within_its_tokens_and_rows() -> None:
    async def test(bench: Bench) -> None:
        await asyncio.gather(
            *(bench.run(40) for _ in range(20)), *(bench.run(3) for _ in range(80))
        )
        for _, lengths in bench.engine.calls:
            assert sum(lengths) <= 256
            assert len(lengths) <= 32

    scenario(test)


def test_what_waits_is_shared_out_over_the_instances() -> None:
    async def test(bench: Bench) -> None:
        under_way = [bench.run(100), bench.run(100)]
        await asyncio.sleep(0)
        await asyncio.gather(*(bench.run(64) for _ in range(8)), *under_way)
        assert [sum(lengths) for _, lengths in bench.engine.calls[2:5]] == [256, 128, 128]

    scenario(test, share=0.5)


def test_only_large_requests_are_divided_over_the_instances() -> None:
    async def test(bench: Bench) -> None:
        parts = [bench.scheduler.part_tokens("a", tokens) for tokens in (5, 130, 400)]
        assert parts == [5, 128, 200]

    scenario(test, share=0.5)


def test_the_engine_is_never_left_idle_between_calls() -> None:
    """The next call is sent ahead, but late enough that others can still join it."""

    async def test(bench: Bench) -> None:
        begun = time.monotonic()
        await asyncio.gather(*(bench.run(200) for _ in range(10)))
        assert time.monotonic() - begun < 10 * 0.024 * 1.25

    scenario(test)


def test_models_take_turns_by_arrival() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(50)
        await asyncio.sleep(0)
        others = [bench.run(50, model="b"), bench.run(50), bench.run(50, model="b")]
        await asyncio.gather(first, *others)
        assert [model for model, _ in bench.engine.calls] == ["a", "b", "a"]

    scenario(test)


def test_a_job_that_is_given_up_leaves_the_line() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(200)
        await asyncio.sleep(0)
        gone, stays = bench.run(50), bench.run(60)
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(first, stays)
        assert bench.engine.calls[1:] == [("a", [60])]
        assert gone.cancelled()

    scenario(test)


def test_a_call_that_nobody_waits_for_is_taken_back() -> None:
    async def test(bench: Bench) -> None:
        alone = bench.run(200)
        await asyncio.sleep(0.002)
        alone.cancel()
        await asyncio.sleep(0.002)
        assert bench.engine.cancelled == 1
        assert (await bench.run(10)).tolist() == [[10]]

    scenario(test)


def test_a_call_that_someone_waits_for_is_not_taken_back() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(200)
        await asyncio.sleep(0)
        gone, stays = bench.run(50), bench.run(60)
        await first
        gone.cancel()
        assert (await stays).tolist() == [[60]]
        assert bench.engine.cancelled == 0

    scenario(test)


def test_a_job_ends_at_its_deadline() -> None:
    async def test(bench: Bench) -> None:
        bench.engine.extra_seconds = 1.0
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await bench.run(20, seconds=0.05)
        assert time.monotonic() - begun < 0.3
        await asyncio.sleep(0.01)
        assert bench.engine.cancelled == 1

    scenario(test)


def test_what_cannot_be_in_time_any_more_is_not_begun() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(250)
        await asyncio.sleep(0)
        hopeless = bench.run(200, seconds=0.030)
        with pytest.raises(Refused) as refused:
            await hopeless
        assert refused.value.reason == "late"
        await first
        assert len(bench.engine.calls) == 1

    scenario(test)


def test_nobody_joins_a_call_that_would_then_end_too_late() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(50)
        await asyncio.sleep(0)
        tight, others = bench.run(50, seconds=0.030), [bench.run(200), bench.run(200)]
        await asyncio.gather(first, tight, *others)
        assert ("a", [50]) in bench.engine.calls[1:]

    scenario(test)


def test_an_error_reaches_every_job_of_the_call_and_the_line_goes_on() -> None:
    async def test(bench: Bench) -> None:
        bench.engine.failure = BackendError("broken")
        failed = await asyncio.gather(bench.run(10), bench.run(20), return_exceptions=True)
        assert [str(error) for error in failed] == ["broken", "broken"]
        bench.engine.failure = None
        assert (await bench.run(10)).tolist() == [[10]]

    scenario(test)


def test_the_backlog_is_the_time_until_all_is_through() -> None:
    async def test(bench: Bench) -> None:
        jobs = [bench.run(100) for _ in range(5)]
        await asyncio.sleep(0)
        predicted_ms = bench.scheduler.backlog.interactive_ms()
        begun = time.monotonic()
        await asyncio.gather(*jobs)
        assert 1000 * (time.monotonic() - begun) == pytest.approx(predicted_ms, rel=0.3)
        assert bench.scheduler.backlog.interactive_ms() == 0

    scenario(test)


def test_a_call_that_hangs_counts_as_a_growing_backlog() -> None:
    async def test(bench: Bench) -> None:
        bench.engine.extra_seconds = 0.2
        hanging = bench.run(20)
        await asyncio.sleep(0.1)
        assert bench.scheduler.backlog.interactive_ms() > 80
        await hanging

    scenario(test)


def test_calls_that_take_half_the_machine_run_side_by_side() -> None:
    async def test(bench: Bench) -> None:
        jobs = [bench.run(200), bench.run(200, model="b")]
        await asyncio.sleep(0.001)
        assert len(bench.engine.calls) == 2
        await asyncio.gather(*jobs)

    scenario(test, share=0.5)

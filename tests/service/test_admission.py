"""Admission over a scheduler whose backlog is real: jobs that wait for a stuck engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.admission import Admission, estimate_tokens, utf8_bytes
from service.call import Call, RequestClass
from service.cost import CostLine, Line
from service.errors import DeadlineExceeded, Refused
from service.jobs import Job
from service.metrics import Metrics
from service.scheduler import Scheduler


class Stuck:
    """An engine that never answers."""

    async def infer(self, *_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()


class Bench:
    """Calls of 5 ms and 0.1 ms a token; a margin of 4 ms."""

    def __init__(self, limit_tokens: int = 100_000, instances: int = 1) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.lines = {"a": CostLine(Line(5.0, 0.1))}
        self.scheduler = Scheduler(
            Stuck(), self.lines, self.metrics, shares={"a": 1 / instances}, call_tokens=256
        )
        self.admission = Admission(
            self.scheduler, self.lines, self.metrics, margin_ms=4, limit_tokens=limit_tokens
        )

    def call(self, timeout_ms: float = 50, request_class: RequestClass = "interactive") -> Call:
        call = Call("id", model="a")
        call.set_class(request_class, timeout_ms)
        return call

    def work(self, tokens: int, bulk: bool = False) -> None:
        job = Job(
            model="a",
            rows=[[1] * tokens],
            deadline=time.monotonic() + 60,
            bulk=bulk,
            answer=asyncio.get_running_loop().create_future(),
        )
        self.tasks.append(asyncio.get_running_loop().create_task(self.scheduler.run(job)))

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def scenario(test: Callable[[Bench], Awaitable[None]], **options: int) -> None:
    async def main() -> None:
        bench = Bench(**options)
        bench.tasks: list[asyncio.Task[Any]] = []
        await test(bench)
        for task in bench.tasks:
            task.cancel()
        await asyncio.gather(*bench.tasks, return_exceptions=True)

    asyncio.run(main())


def test_what_would_be_late_behind_the_work_under_way_is_refused() -> None:
    async def test(bench: Bench) -> None:
        # Ten times the promise: what holds this process up for a moment makes no difference.
        bench.work(2450)  # 250 ms
        await asyncio.sleep(0)
        with bench.admission.admit(bench.call(500), 1000):  # 250 + 105 ms of 496
            pass
        with pytest.raises(Refused) as refused, bench.admission.admit(bench.call(500), 3450):
            pass
        error = refused.value
        assert error.reason == "predicted"
        assert error.predicted_ms == pytest.approx(600, abs=80)
        assert error.allowed_ms == pytest.approx(496)
        assert error.retry_after_seconds == 1
        assert "X-Request-Timeout-Ms" in str(error)

    scenario(test)


def test_the_callers_deadline_counts() -> None:
    async def test(bench: Bench) -> None:
        bench.work(100)  # 15 ms
        await asyncio.sleep(0)
        with pytest.raises(Refused), bench.admission.admit(bench.call(timeout_ms=20), 10):
            pass
        with bench.admission.admit(bench.call(timeout_ms=40), 10):
            pass

    scenario(test)


def test_time_already_spent_counts() -> None:
    async def test(bench: Bench) -> None:
        bench.work(10)
        await asyncio.sleep(0)
        call = bench.call()
        call.started -= 0.045
        with pytest.raises(Refused), bench.admission.admit(call, 10):
            pass

    scenario(test)


def test_bulk_work_that_waits_does_not_keep_interactive_requests_out() -> None:
    async def test(bench: Bench) -> None:
        bench.work(10)
        for _ in range(50):
            bench.work(200, bulk=True)
        await asyncio.sleep(0)
        with bench.admission.admit(bench.call(), 10):
            pass
        with pytest.raises(Refused), bench.admission.admit(bench.call(1000, "bulk"), 10):
            pass

    scenario(test)


def test_even_the_smallest_is_refused_early_only_when_it_has_no_chance() -> None:
    async def test(bench: Bench) -> None:
        bench.admission.require_any_time(bench.call(), 50)
        bench.work(200)
        await asyncio.sleep(0)
        bench.admission.require_any_time(bench.call(), 50)
        bench.work(200)
        await asyncio.sleep(0)
        with pytest.raises(Refused):
            bench.admission.require_any_time(bench.call(), 50)

    scenario(test)


def test_an_idle_service_tries_now_and_then_what_its_line_says_is_too_slow() -> None:
    async def test(bench: Bench) -> None:
        with bench.admission.admit(bench.call(), 500):  # 55 ms
            pass
        with pytest.raises(Refused), bench.admission.admit(bench.call(), 500):
            pass

    scenario(test)


def test_a_request_that_may_try_is_not_refused_once_its_tokens_are_counted() -> None:
    async def test(bench: Bench) -> None:
        call = bench.call()
        with bench.admission.admit(call, 2_000):
            bench.admission.require_time(call, 1_900)
        with pytest.raises(Refused):
            bench.admission.require_time(bench.call(), 1_900)

    scenario(test)


def test_parts_that_run_side_by_side_are_not_added_up() -> None:
    async def test(bench: Bench) -> None:
        call = bench.call()
        with bench.admission.admit(call, 400):  # 45 ms in one call, 25 ms in two
            assert call.predicted_ms == pytest.approx(25, abs=1)

    scenario(test, instances=2)


def test_missed_deadlines_make_it_more_careful() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(5):
            with pytest.raises(DeadlineExceeded), bench.admission.admit(bench.call(), 10):
                raise DeadlineExceeded("late")
            call = bench.call()
            with bench.admission.admit(call, 10):
                call.started -= 0.048
        assert bench.value("sub50_margin_seconds") == pytest.approx(0.004 + 5 * 0.002, abs=1e-3)
        bench.work(200)
        await asyncio.sleep(0)
        with pytest.raises(Refused), bench.admission.admit(bench.call(), 100):
            pass

    scenario(test)


def test_an_operator_sees_the_line_the_backlog_and_the_errors() -> None:
    async def test(bench: Bench) -> None:
        assert bench.value("sub50_cost_overhead_seconds", model="a") == pytest.approx(0.005)
        assert bench.value("sub50_cost_per_token_seconds", model="a") == pytest.approx(0.0001)
        call = bench.call()
        with bench.admission.admit(call, 50):
            call.started -= 0.020
        late = {"model": "a", "direction": "later"}
        assert bench.value("sub50_prediction_error_seconds_count", **late) == 1
        assert bench.value("sub50_prediction_error_seconds_sum", **late) == pytest.approx(
            0.010, abs=2e-3
        )
        bench.work(200)
        await asyncio.sleep(0)
        assert bench.value("sub50_backlog_seconds") == pytest.approx(0.025, abs=2e-3)

    scenario(test)


def test_work_over_the_limit_is_refused_and_room_is_given_back() -> None:
    async def test(bench: Bench) -> None:
        def bulk() -> Call:
            return bench.call(60_000, "bulk")

        with bench.admission.admit(bulk(), 60):
            with pytest.raises(Refused, match="limit of 100") as refused:
                bench.admission.admit(bulk(), 50).__enter__()
            assert refused.value.reason == "inflight_tokens"
            with bench.admission.admit(bulk(), 40):
                assert bench.value("sub50_inflight") == 2
                assert bench.value("sub50_inflight_tokens") == 100
        with pytest.raises(KeyError), bench.admission.admit(bulk(), 1000):
            raise KeyError
        assert bench.value("sub50_inflight") == 0
        assert bench.value("sub50_inflight_tokens") == 0

    scenario(test, limit_tokens=100)


def test_estimates_grow_with_bytes() -> None:
    assert estimate_tokens(utf8_bytes("x" * 400)) == 102
    assert utf8_bytes("é") == 2
    assert utf8_bytes("\ud800") == 3

"""Samples and windows: what counts, what does not, and that requests go first."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from service.board.history import History
from service.board.sample import read_sample
from service.board.schema import Restarts
from service.board.view import charts_of, restarts_of, window_of
from service.metrics import Metrics

MODELS = ("sentiment", "topics")


class Clocked:
    """Metrics, and a history of them at moments that the test chooses."""

    def __init__(self, sample_seconds: float = 5.0) -> None:
        self.metrics = Metrics(CollectorRegistry())
        self.history = History(self.metrics, sample_seconds)

    def sample(self, at: float) -> None:
        """Read the metrics, as if at that second."""
        self.history.add(replace(asyncio.run(read_sample(self.metrics)), at=at))

    def answer(
        self,
        seconds: float,
        times: int = 1,
        *,
        status: int = 200,
        model: str = "sentiment",
        request_class: str = "interactive",
        route: str = "/v1/classify",
    ) -> None:
        for _ in range(times):
            self.metrics.request_series(route, model, request_class, status).observe(seconds)


@pytest.fixture
def clocked() -> Clocked:
    return Clocked()


def test_a_window_counts_what_happened_in_it_alone(clocked: Clocked) -> None:
    clocked.answer(0.2, 100)
    for at in range(0, 305, 5):
        clocked.sample(float(at))
        if at == 270:
            clocked.answer(0.009, 90)
            clocked.answer(0.07, 10)
    minute = window_of(clocked.history, 60, 50, MODELS)
    assert minute.covered_seconds == 60
    assert (minute.interactive.requests, minute.interactive.missed) == (100, 10)
    assert minute.interactive.p50_ms == pytest.approx(7.5 + 2.5 * 50 / 90, abs=0.001)
    assert minute.interactive.p99_ms == pytest.approx(60 + 15 * 9 / 10, abs=0.001)
    assert window_of(clocked.history, 600, 50, MODELS).interactive.requests == 100


def test_what_was_counted_before_the_first_sample_is_in_no_window(clocked: Clocked) -> None:
    clocked.answer(0.3, 5)
    clocked.sample(0)
    clocked.sample(5)
    assert window_of(clocked.history, 600, 50, MODELS).interactive.requests == 0


def test_a_series_that_is_new_began_at_nothing(clocked: Clocked) -> None:
    clocked.sample(0)
    clocked.answer(0.01, 3)
    clocked.metrics.refused.labels("queue").inc()
    clocked.metrics.stage_series("infer").observe(0.004)
    clocked.sample(5)
    window = window_of(clocked.history, 60, 50, MODELS)
    assert (window.covered_seconds, window.interactive.answered) == (5, 3)
    assert window.refused == {"queue": 1}
    assert [(stage.stage, stage.count, stage.mean_ms) for stage in window.stages] == [
        ("infer", 1, 4.0)
    ]


def test_an_idle_window_has_no_figures_instead_of_good_ones(clocked: Clocked) -> None:
    clocked.answer(0.01)
    for at in (0, 5, 10):
        clocked.sample(at)
    window = window_of(clocked.history, 60, 50, MODELS)
    for traffic in (window.interactive, window.bulk, *window.models.values()):
        assert (traffic.requests, traffic.p50_ms, traffic.p99_ms) == (0, None, None)
    assert (window.stages, window.refused) == ([], {})
    assert (window.calls.count, window.calls.mean_rows, window.calls.padding_ratio) == (
        0,
        None,
        None,
    )
    charts = charts_of(clocked.history.points, 10)
    assert (charts.p50_ms, charts.p99_ms) == ([None, None], [None, None])
    assert charts.interactive_per_second == [0, 0]


def test_requests_count_as_the_objective_has_them(clocked: Clocked) -> None:
    clocked.sample(0)
    clocked.answer(0.05, 7)
    clocked.answer(0.0501, 2)
    clocked.answer(0.05, 3, status=504)
    clocked.answer(0.001, 4, status=429)
    clocked.answer(0.001, 1, status=422)
    clocked.answer(0.05, 1, status=499)
    clocked.answer(3.0, 5, request_class="bulk", model="topics", route="/v1/summarize")
    clocked.sample(5)
    window = window_of(clocked.history, 60, 50, MODELS)
    interactive = window.interactive
    assert (interactive.requests, interactive.answered) == (18, 9)
    assert (interactive.refused, interactive.failed, interactive.other) == (4, 3, 2)
    assert interactive.missed == 2 + 3
    assert (window.bulk.requests, window.bulk.p99_ms, window.bulk.missed) == (5, 2500, None)
    assert window.models["topics"].requests == 5
    assert window.models["sentiment"].requests == 18


def test_routes_of_one_model_add_up(clocked: Clocked) -> None:
    clocked.sample(0)
    clocked.answer(0.01, 2, route="/v1/classify")
    clocked.answer(0.01, 3, route="/predict")
    clocked.sample(5)
    assert window_of(clocked.history, 60, 50, MODELS).interactive.answered == 5


def test_points_have_the_rates_of_the_time_that_passed(clocked: Clocked) -> None:
    clocked.sample(0)
    clocked.answer(0.02, 20)
    clocked.answer(0.02, 10, status=429)
    clocked.answer(0.2, 5, request_class="bulk")
    clocked.sample(10)  # it was late
    clocked.sample(15)
    charts = charts_of(clocked.history.points, 15)
    assert (charts.ago_seconds, charts.seconds) == ([5, 0], [10, 5])
    assert charts.interactive_per_second == [3, 0]
    assert charts.bulk_per_second == [0.5, 0]
    assert charts.refused_per_second == [1, 0]


def test_calls_show_their_rows_and_their_padding(clocked: Clocked) -> None:
    clocked.metrics.call_rows.observe(32)
    clocked.sample(0)
    for rows in (1, 1, 3, 40):
        clocked.metrics.call_rows.observe(rows)
        clocked.metrics.padding_ratio.observe(1.5)
    clocked.sample(5)
    calls = window_of(clocked.history, 60, 50, MODELS).calls
    assert (calls.count, calls.mean_rows, calls.padding_ratio) == (4, 11.25, 1.5)
    assert calls.edges[:3] == [1, 2, 3]
    assert calls.rows == [2, 0, 1, *[0] * 7, 1]


def test_the_last_restart_is_kept_however_long_ago(clocked: Clocked) -> None:
    clocked.sample(0)
    assert restarts_of(clocked.history, str) is None  # Triton is somebody else's
    for reason in ("hung", "start_failed"):
        clocked.metrics.triton_restarts.labels(reason)
    clocked.sample(5)
    none = restarts_of(clocked.history, str)
    assert none == Restarts(reasons={}, last_reason=None, last_at=None)
    clocked.metrics.triton_restarts.labels("start_failed").inc(2)
    clocked.metrics.triton_restarts.labels("hung").inc()
    clocked.sample(10)
    clocked.metrics.triton_restarts.labels("hung").inc()
    for at in range(15, 1000, 5):
        clocked.sample(float(at))
    found = restarts_of(clocked.history, str)
    counts = {"hung": 2, "start_failed": 2}
    assert found == Restarts(reasons=counts, last_reason="hung", last_at="15.0")


def test_no_more_is_kept_than_ten_minutes() -> None:
    clocked = Clocked(sample_seconds=60)
    for minute in range(30):
        clocked.answer(0.01)
        clocked.sample(60.0 * minute)
    assert len(clocked.history.points) == 10
    assert window_of(clocked.history, 600, 50, MODELS).interactive.requests == 10


def test_requests_go_first_after_every_series() -> None:
    metrics = Metrics(CollectorRegistry())
    for status in range(200, 240):
        metrics.request_series("/v1/classify", "m", "interactive", status).observe(0.01)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> int:
        counting = asyncio.create_task(count_turns())
        sample = await read_sample(metrics)
        counting.cancel()
        return len(sample.requests)

    assert asyncio.run(read()) == 40
    assert turns >= 40


def test_samples_are_taken_as_long_as_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    history = History(Metrics(CollectorRegistry()), sample_seconds=0.01)

    async def run() -> tuple[int, int]:
        async with history.running():
            await asyncio.sleep(0.5)
        taken = history.taken
        await asyncio.sleep(0.05)
        return taken, history.taken

    at_end, later = asyncio.run(run())
    assert at_end == later >= 3
    assert np.all(np.diff([point.at for point in history.points]) > 0)


def test_a_sample_that_fails_is_logged_and_the_next_is_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    history = History(Metrics(CollectorRegistry()), sample_seconds=0.01)
    whole = history.take
    failures = [RuntimeError("unreadable")]

    async def take() -> None:
        if history.taken and failures:
            raise failures.pop()
        await whole()

    monkeypatch.setattr(history, "take", take)

    async def run() -> None:
        async with history.running():
            await asyncio.sleep(0.5)

    asyncio.run(run())
    assert history.taken >= 3
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [
        ("unreadable",)
    ]

"""How long new work waits, with calls under way side by side and work in front of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.backlog import Backlog, _level
from service.cost import CostLine, Line
from service.jobs import EngineCall, Job

LINES = {"a": CostLine(Line(0.0, 1.0))}  # a millisecond a token


def job(tokens: int) -> Job:
    return Job(model="a", rows=[[1] * tokens], deadline=0.0, bulk=False, answer=None)  # type: ignore[arg-type]


def backlog(share: float, under_way: list[int], ahead: list[int], waiting: list[int]) -> Backlog:
    calls = [EngineCall([job(tokens)], LINES["a"]) for tokens in under_way + ahead]
    for call in calls[: len(under_way)]:
        call.started = time.monotonic()
    found = Backlog(LINES, {"a": share}, calls, call_tokens=1_000)
    for tokens in waiting:
        found.add(job(tokens))
    return found


@pytest.mark.parametrize(
    ("share", "under_way", "ahead", "waiting", "wait_ms"),
    [
        (1.0, [], [], [], 0),
        (1.0, [200], [], [], 200),
        (1.0, [200], [100], [50], 350),
        (0.5, [200], [], [], 0),  # the other lane is free
        (0.5, [200, 300], [], [], 200),
        (0.5, [200, 300], [], [50], 250),
        (0.5, [200, 300], [], [300], 400),
        (0.5, [200, 300], [300], [], 400),
    ],
)
def test_new_work_waits_for_the_lane_that_is_free_first(
    share: float, under_way: list[int], ahead: list[int], waiting: list[int], wait_ms: float
) -> None:
    found = backlog(share, under_way, ahead, waiting)
    assert found.wait_ms(share) == pytest.approx(wait_ms, abs=5)


def test_a_call_of_the_whole_machine_takes_every_lane() -> None:
    found = backlog(1.0, [200], [], [])
    assert found.wait_ms(0.5) == pytest.approx(200, abs=5)


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=8), st.floats(0, 1000))
def test_all_work_finds_its_place_below_the_level(ends: list[float], work: float) -> None:
    level = _level(sorted(ends), work)
    assert sum(max(0.0, level - end) for end in ends) == pytest.approx(work, abs=1e-6)

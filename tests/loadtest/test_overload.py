from __future__ import annotations

import io
import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console

from loadtest.overload import Overload, Step, measure_step, overload_table, run_overload
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.verdict import Verdict
from tests.loadtest.hand_made import hand_made_records, hand_made_verdict

Run = Callable[[float], tuple[Records, Verdict]]
FAILED = hand_made_verdict("FAIL", late=500)


def refusing_service(
    capacity_rate: float = 100.0,
    answer_ms: float = 30.0,
    refusal_ms: float = 1.0,
    carried: float = 1.0,
    outcome: str = "FAIL",
) -> Run:
    """Answers `carried` of its capacity, evenly spread, and refuses the rest."""

    def run(rate_per_second: float) -> tuple[Records, Verdict]:
        count = int(rate_per_second * 20)
        turns = np.floor(
            np.arange(1, count + 1) * min(1, carried * capacity_rate / rate_per_second)
        )
        answered = np.diff(turns, prepend=0) > 0
        records = hand_made_records(
            count,
            rate_per_second=rate_per_second,
            latency_ms=np.where(answered, answer_ms, refusal_ms).tolist(),
            outcome=np.where(answered, OK, REFUSED).tolist(),
        )
        return records, hand_made_verdict(outcome, late=500, reasons=["it lagged"])

    return run


def step_of(records: Records, verdict: Verdict = FAILED) -> Step:
    return measure_step(1, 100, records, verdict, budget_ms=50)


def test_a_service_that_refuses_cheaply_stands_three_times_its_capacity() -> None:
    overload = run_overload(refusing_service(), 100)
    assert (overload.outcome, overload.exit_code, overload.failures) == ("OK", 0, [])
    assert [step.rate_per_second for step in overload.steps] == [100, 200, 300]
    for step in overload.steps:
        assert step.offered_per_second == pytest.approx(step.rate_per_second)
        assert step.goodput_per_second == pytest.approx(100)
        assert step.refused_share == pytest.approx(1 - 1 / step.factor, abs=1e-3)
        assert step.accepted_p99_ms == 30
    assert math.isnan(overload.steps[0].refusal_p99_ms)
    assert overload.steps[2].refusal_p99_ms == 1


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (refusing_service(answer_ms=50), "P99 of what was accepted is 50.0 ms, not under 50"),
        (refusing_service(refusal_ms=5), "P99 of refusing is 5.0 ms, not under 5"),
        (refusing_service(carried=0.89), "goodput is 89.0/s, 89% of capacity, under 90%"),
        (refusing_service(carried=0), "P99 of what was accepted is inf ms"),
    ],
)
def test_each_promise_is_judged(run: Run, said: str) -> None:
    overload = run_overload(run, 100)
    assert (overload.outcome, overload.exit_code) == ("FAIL", 1)
    assert any(said in reason for reason in overload.failures)
    assert overload.line().startswith("OVERLOAD FAIL accepted_p99_ms=")


def test_a_lagging_generator_makes_it_invalid_unless_a_valid_run_failed() -> None:
    lagged = refusing_service(answer_ms=200, outcome="INVALID")
    overload = run_overload(lagged, 100)
    assert (overload.outcome, overload.exit_code, overload.failures) == ("INVALID", 3, [])
    assert overload.generator_reasons[0] == "at 1 times capacity, it lagged"

    def failed_then_lagged(rate_per_second: float) -> tuple[Records, Verdict]:
        return (refusing_service(answer_ms=90) if rate_per_second < 150 else lagged)(
            rate_per_second
        )

    assert run_overload(failed_then_lagged, 100).outcome == "FAIL"


def test_what_was_accepted_and_never_answered_is_infinitely_late() -> None:
    outcome = [OK] * 985 + [ERROR] * 5 + [TIMEOUT] * 10
    step = step_of(hand_made_records(1000, outcome=outcome))
    assert (step.errors, step.timeouts, step.late) == (5, 10, 0)
    assert step.accepted_p99_ms == math.inf
    assert step.goodput_per_second == pytest.approx(98.5)
    assert step_of(hand_made_records(1000, outcome=[OK] * 990 + [ERROR] * 10)).accepted_p99_ms == 10


def test_refusals_are_no_part_of_what_was_accepted() -> None:
    outcome = [OK, REFUSED] * 500
    step = step_of(hand_made_records(1000, latency_ms=[20, 900] * 500, outcome=outcome))
    assert (step.accepted_p99_ms, step.refusal_p99_ms, step.refused) == (20, 900, 500)


def test_late_answers_are_no_goodput_but_bulk_ones_are_never_late() -> None:
    records = hand_made_records(
        1000,
        latency_ms=[10, 51, 900, 50] * 250,
        kind=[0, 0, 1, 0] * 250,
        kinds=("review", "contract"),
    )
    step = step_of(records)
    assert step.late == 250
    assert step.goodput_per_second == pytest.approx(75)
    assert step.accepted_p99_ms == 51


def test_refusals_are_timed_from_both_sends() -> None:
    step = step_of(hand_made_records(100, latency_ms=9, lag_ms=6, outcome=REFUSED))
    assert (step.refusal_p50_ms, step.refusal_p99_ms) == (3, 3)
    assert (step.refusal_scheduled_p50_ms, step.refusal_scheduled_p99_ms) == (9, 9)


def test_a_run_without_records_fails_without_an_accident() -> None:
    overload = run_overload(lambda rate: (hand_made_records(0), FAILED), 100, factors=[3])
    assert overload.outcome == "FAIL"
    assert "accepted_p99_ms=inf goodput=0.00 refusal_p99_ms=-" in overload.line()


@pytest.mark.parametrize(("capacity_rate", "factors"), [(0, [1]), (-5, [1]), (100, [])])
def test_what_cannot_be_run_is_refused(capacity_rate: float, factors: list[float]) -> None:
    with pytest.raises(ValueError, match="capacity above 0"):
        run_overload(refusing_service(), capacity_rate, factors)


def test_the_result_is_shown_as_line_json_and_table() -> None:
    told: list[Step] = []
    overload: Overload = run_overload(refusing_service(), 100, on_step=told.append)
    assert tuple(told) == overload.steps
    assert overload.line() == (
        "OVERLOAD OK accepted_p99_ms=30.0 goodput=1.00 refusal_p99_ms=1.0 capacity=100.0"
    )
    read = json.loads(json.dumps(overload.as_dict(), allow_nan=False))
    assert read["steps"][0]["refusal_p99_ms"] is None
    assert read["steps"][2]["refused"] == overload.steps[2].refused
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(overload_table(overload))
    text = console.export_text()
    assert "overload of 100.0 requests/s: OK" in text
    assert "66.7%" in text

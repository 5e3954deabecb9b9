"""What passes, what fails, and what says nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT
from loadtest.verdict import fails, judge, passes, requests_to_pass
from tests.loadtest.hand_made import made


def plan_for(n: int) -> Plan:
    return Plan(rate_per_second=100, duration_seconds=n / 100, warm_up_seconds=0)


# MLPerf Inference's table for the 99th percentile at 99 % confidence.
@pytest.mark.parametrize(("over", "n"), [(0, 459), (10, 2_010), (50, 6_898), (100, 12_571)])
def test_passes_from_just_as_many_requests_as_mlperf_asks(over: int, n: int) -> None:
    assert passes(n, over)
    assert not passes(n - 1, over)
    assert requests_to_pass(over) == n


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 50_000), st.data())
def test_never_passes_and_fails_at_once(n: int, data: st.DataObject) -> None:
    over = data.draw(st.integers(0, n))
    assert not (passes(n, over) and fails(n, over))
    # A miss more never helps.
    if over < n and passes(n, over + 1):
        assert passes(n, over)


def test_pass_with_its_line() -> None:
    verdict = judge(made([20.0] * 500), plan_for(500))
    assert verdict.outcome == "PASS"
    assert verdict.exit_code == 0
    assert verdict.line() == (
        "VERDICT PASS p99_ms=20.00 n=500 over=0 refused=0 errors=0 timeouts=0 rate=100.0"
    )


def test_fail() -> None:
    verdict = judge(made([20.0] * 450 + [80.0] * 50), plan_for(500))
    assert (verdict.outcome, verdict.exit_code) == ("FAIL", 1)
    assert (verdict.over, verdict.late, verdict.p99_ms) == (50, 50, 80.0)


def test_too_few_to_tell_says_how_many_more() -> None:
    verdict = judge(made([20.0] * 400), plan_for(400))
    assert (verdict.outcome, verdict.exit_code) == ("INCONCLUSIVE", 4)
    assert "59 more" in verdict.reasons[0]


@pytest.mark.parametrize("outcome", [REFUSED, ERROR, TIMEOUT])
def test_what_is_not_answered_is_infinitely_late(outcome: int) -> None:
    verdict = judge(made([1.0] * 500, outcome=[OK] * 400 + [outcome] * 100), plan_for(500))
    assert verdict.outcome == "FAIL"
    assert math.isinf(verdict.p99_ms)
    assert (verdict.over, verdict.late) == (100, 0)
    assert (verdict.refused, verdict.errors, verdict.timeouts) == tuple(
        100 * (outcome == each) for each in (REFUSED, ERROR, TIMEOUT)
    )
    assert json.loads(json.dumps(verdict.as_dict(), allow_nan=False))["p99_ms"] is None


def test_the_warm_up_is_dropped_by_schedule() -> None:
    plan = Plan(rate_per_second=100, duration_seconds=5, warm_up_seconds=1)
    # The last request of the warm-up is answered long after it; it still is no measurement.
    verdict = judge(made([900.0] * 100 + [20.0] * 500), plan)
    assert (verdict.outcome, verdict.n) == ("PASS", 500)


def test_a_bulk_request_may_be_late_but_not_lost() -> None:
    kind = [0] * 500 + [1] * 20
    slow = judge(made([20.0] * 500 + [900.0] * 20, kind=kind), plan_for(520))
    assert (slow.outcome, slow.n, slow.over) == ("PASS", 500, 0)
    lost = judge(made([20.0] * 520, kind=kind, outcome=[OK] * 500 + [REFUSED] * 20), plan_for(520))
    assert (lost.outcome, lost.n, lost.refused) == ("FAIL", 520, 20)


def test_a_generator_that_lags_is_no_evidence() -> None:
    some = judge(made([20.0] * 500, lag_ms=[15.0] * 5 + [0.0] * 495), plan_for(500))
    assert some.outcome == "PASS"
    many = judge(made([20.0] * 500, lag_ms=[15.0] * 6 + [0.0] * 494), plan_for(500))
    assert (many.outcome, many.exit_code) == ("INVALID", 3)
    assert "6 of 500" in many.reasons[0]


def test_a_generator_that_misses_its_rate_is_no_evidence() -> None:
    verdict = judge(made([20.0] * 500), plan_for(800))
    assert verdict.outcome == "INVALID"
    assert "of the planned 100" in verdict.reasons[0]


def test_nothing_sent_is_no_pass() -> None:
    assert judge(made([]), plan_for(500)).outcome == "INVALID"
    short = Plan(rate_per_second=1, duration_seconds=1, warm_up_seconds=0)
    assert judge(made([]), short).outcome == "INCONCLUSIVE"

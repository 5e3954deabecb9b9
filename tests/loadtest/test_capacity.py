from __future__ import annotations

import io
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtest.capacity import Capacity, Probe, capacity_table, find_capacity
from loadtest.errors import WrongPlan
from loadtest.verdict import Verdict
from tests.loadtest.hand_made import hand_made_verdict

SLOW_GENERATOR = "the generator lagged"


def service_of(
    capacity_rate: float, generator_rate: float = 1e9
) -> tuple[Callable[[float], Verdict], list[float]]:
    """A service that holds up to its capacity, and the rates it was asked for."""
    rates: list[float] = []

    def run(rate_per_second: float) -> Verdict:
        rates.append(rate_per_second)
        if rate_per_second > generator_rate:
            return hand_made_verdict("INVALID", reasons=[SLOW_GENERATOR])
        over = rate_per_second > capacity_rate
        return hand_made_verdict("FAIL", late=500) if over else hand_made_verdict("PASS")

    return run, rates


@given(
    capacity_rate=st.floats(1.0, 15_000.0),
    start_rate=st.floats(1.0, 15_000.0),
    precision=st.sampled_from([0.01, 0.05, 0.2]),
    confirm_failures=st.booleans(),
)
def test_the_capacity_is_found_to_the_precision_in_few_runs(
    capacity_rate: float, start_rate: float, precision: float, confirm_failures: bool
) -> None:
    run, rates = service_of(capacity_rate)
    found = find_capacity(run, start_rate, precision, confirm_failures=confirm_failures)
    assert found.rate_per_second <= capacity_rate < found.rate_per_second * (1 + precision) + 1e-6
    assert found.limited_by == "service"
    assert [probe.rate_per_second for probe in found.probes] == rates
    # 24 rates of growth by half or 14 of halving, then at most 7 of bisection; each run twice.
    assert len(rates) <= 62


def test_one_noisy_run_does_not_lower_the_capacity() -> None:
    run, rates = service_of(400)

    def noisy(rate_per_second: float) -> Verdict:
        verdict = run(rate_per_second)
        return hand_made_verdict("FAIL", late=11) if len(rates) in (1, 4) else verdict

    assert 400 / 1.05 < find_capacity(noisy, 100).rate_per_second <= 400
    rates.clear()
    # Unconfirmed, the noise at the start sends the search down to half and up no further.
    assert find_capacity(noisy, 100, confirm_failures=False).rate_per_second < 101


def test_one_miss_in_a_hundred_holds_and_one_more_does_not() -> None:
    assert Probe(1, hand_made_verdict("INCONCLUSIVE", n=1000, late=10)).holds
    assert not Probe(1, hand_made_verdict("INCONCLUSIVE", n=1000, late=11)).holds
    assert not Probe(1, hand_made_verdict("INVALID")).holds
    assert not Probe(1, hand_made_verdict("INCONCLUSIVE", n=0)).holds


def test_a_generator_at_its_end_is_named_as_the_limit() -> None:
    run, rates = service_of(10_000, generator_rate=300)
    found = find_capacity(run, 100)
    assert 300 / 1.05 < found.rate_per_second <= 300
    assert found.limited_by == "generator"
    assert found.generator_reasons == [SLOW_GENERATOR]
    assert found.exit_code == 0
    assert all(rates.count(rate) == 2 for rate in rates if rate > 300)


def test_one_valid_failure_at_the_limit_makes_it_the_services() -> None:
    outcomes = iter(["PASS", "INVALID", "FAIL"])

    def run(rate_per_second: float) -> Verdict:
        return hand_made_verdict(next(outcomes), late=500 if rate_per_second > 100 else 0)

    assert find_capacity(run, 100, precision=0.6).limited_by == "service"


@pytest.mark.parametrize(
    ("generator_rate", "limited_by", "exit_code"), [(1e9, "service", 1), (0.5, "generator", 3)]
)
def test_where_no_rate_holds_there_is_no_capacity(
    generator_rate: float, limited_by: str, exit_code: int
) -> None:
    run, rates = service_of(0, generator_rate)
    found = find_capacity(run, 10)
    assert (found.rate_per_second, found.limited_by, found.exit_code) == (0, limited_by, exit_code)
    assert min(rates) == 1
    assert found.line().startswith("CAPACITY rate=0.0 limited_by=")


def test_where_every_rate_holds_the_search_ends_at_the_cap() -> None:
    run, rates = service_of(1e9)
    found = find_capacity(run, 100, max_rate=1000)
    assert (found.rate_per_second, found.limited_by, found.exit_code) == (1000, "max_rate", 0)
    assert max(rates) == 1000


@pytest.mark.parametrize(
    ("start_rate", "precision"), [(0, 0.05), (-1, 0.05), (30_000, 0.05), (10, 0), (10, 1)]
)
def test_what_cannot_be_searched_is_refused(start_rate: float, precision: float) -> None:
    run, rates = service_of(100)
    with pytest.raises(WrongPlan, match=r"not (between|1 to)"):
        find_capacity(run, start_rate, precision)
    assert rates == []


def found_capacity() -> Capacity:
    run, _ = service_of(200)
    return find_capacity(run, 100)


def test_runs_are_told_as_they_end() -> None:
    told: list[Probe] = []
    run, rates = service_of(200)
    find_capacity(run, 100, on_probe=told.append)
    assert [probe.rate_per_second for probe in told] == rates
    assert told[0].line().startswith("100.0/s holds: VERDICT PASS")
    assert " does not hold: VERDICT FAIL" in told[2].line()


def test_the_result_is_shown_as_line_json_and_table() -> None:
    found = found_capacity()
    rate = f"{found.rate_per_second:.1f}"
    probes = len(found.probes)
    assert found.line() == f"CAPACITY rate={rate} p99_ms=12.0 limited_by=service probes={probes}"
    read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert read["rate_per_second"] == found.rate_per_second
    assert [probe["holds"] for probe in read["probes"]] == [probe.holds for probe in found.probes]
    console = Console(file=io.StringIO(), width=120, record=True)
    console.print(capacity_table(found))
    assert f"capacity {rate} requests/s, limited by the service" in console.export_text()

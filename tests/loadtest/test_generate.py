"""The load test tested: against servers whose faults are known."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from loadtest.errors import LoadTestError
from loadtest.generate import PLAN_FILE, RECORDS_FILE, generate, generator_command
from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.verdict import FAIL, PASS, Verdict, judge
from tests.loadtest.conftest import StartStub

# On a machine that is busy otherwise a run may show nothing, and says so; then there is another.
TRIES = 4


def verdict_on(plan: Plan, folder: Path) -> Verdict:
    for _ in range(TRIES):
        verdict = judge(generate(plan, folder), plan)
        if verdict.outcome in (PASS, FAIL):
            break
    return verdict


def test_a_service_at_a_constant_20_ms_passes(start_stub: StartStub, tmp_path: Path) -> None:
    plan = Plan(start_stub(delay_ms=20), rate_per_second=80, duration_seconds=10, warm_up_seconds=1)
    verdict = verdict_on(plan, tmp_path)
    assert verdict.outcome == "PASS", verdict
    assert 20 <= verdict.p99_ms < 50


def test_a_service_that_stalls_fails_with_its_whole_stall(
    start_stub: StartStub, tmp_path: Path
) -> None:
    url = start_stub(delay_ms=2, stall_every=10, stall_seconds=1)
    plan = Plan(url, rate_per_second=60, duration_seconds=20, warm_up_seconds=1)
    verdict = verdict_on(plan, tmp_path)
    assert verdict.outcome == "FAIL", verdict
    # Two stalls: a tenth of the requests wait for up to a second. A closed loop would have sent
    # two requests into them, and seen a P99 of 3 ms.
    assert 800 <= verdict.p99_ms <= 1100
    assert verdict.over == verdict.late


def test_a_starved_generator_is_found_out(start_stub: StartStub, tmp_path: Path) -> None:
    plan = Plan(start_stub(delay_ms=2), rate_per_second=100, duration_seconds=6, warm_up_seconds=0)
    (tmp_path / PLAN_FILE).write_text(plan.to_json(), encoding="utf-8")
    process = subprocess.Popen(
        generator_command(tmp_path / PLAN_FILE),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # It gets the processor for half of each 100 ms, as beside a greedy neighbour.
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
    verdict = judge(Records.load(tmp_path / RECORDS_FILE), plan)
    assert verdict.outcome == "INVALID"
    assert "late" in verdict.reasons[0]


def test_every_outcome_is_counted_apart(start_stub: StartStub, tmp_path: Path) -> None:
    url = start_stub(statuses=[200, 429, 500, 504, 0])
    plan = Plan(url, rate_per_second=100, duration_seconds=2, warm_up_seconds=0)
    records = generate(plan, tmp_path)
    assert len(records) > 100
    pairs = set(zip(records.outcome.tolist(), records.status.tolist(), strict=True))
    assert pairs == {(OK, 200), (REFUSED, 429), (ERROR, 500), (TIMEOUT, 504), (ERROR, 0)}
    for outcome, share in ((OK, 0.2), (REFUSED, 0.2), (ERROR, 0.4), (TIMEOUT, 0.2)):
        assert np.mean(records.outcome == outcome) == pytest.approx(share, abs=0.02)
    assert math.isinf(judge(records, plan).p99_ms)


def test_the_client_gives_up_and_its_wait_is_recorded(
    start_stub: StartStub, tmp_path: Path
) -> None:
    plan = Plan(
        start_stub(delay_ms=60_000),
        rate_per_second=50,
        duration_seconds=1,
        warm_up_seconds=0,
        timeout_ms=300,
    )
    records = generate(plan, tmp_path)
    assert set(records.outcome.tolist()) == {TIMEOUT}
    assert records.latency_us.min() >= 300_000


def test_waiting_for_a_connection_is_the_services_doing(
    start_stub: StartStub, tmp_path: Path
) -> None:
    # Two connections at 100 ms each carry 20 of the 100 requests a second.
    plan = Plan(
        start_stub(delay_ms=100),
        rate_per_second=100,
        duration_seconds=2,
        warm_up_seconds=0,
        connections=2,
    )
    records = generate(plan, tmp_path)
    assert set(records.outcome.tolist()) == {OK}
    assert np.median(records.lag_us) < 10_000
    assert records.latency_us.max() > 3_000_000


def test_equal_plans_send_at_equal_times(start_stub: StartStub, tmp_path: Path) -> None:
    plan = Plan(start_stub(), rate_per_second=100, duration_seconds=1, warm_up_seconds=0, seed=9)
    first, again = generate(plan, tmp_path), generate(plan, tmp_path)
    assert np.array_equal(first.scheduled_us, again.scheduled_us)
    assert np.array_equal(first.kind, again.kind)


def test_nothing_listens(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="no service at"):
        generate(Plan("http://127.0.0.1:1", duration_seconds=1), tmp_path)


def test_a_service_that_is_not_ready(start_stub: StartStub, tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="not ready"):
        generate(Plan(start_stub(ready=503), duration_seconds=1), tmp_path)


def test_a_generator_that_fails_shows_its_log(
    start_stub: StartStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCUST_USERS", "several")
    with pytest.raises(LoadTestError, match="several"):
        generate(Plan(start_stub(), duration_seconds=1, warm_up_seconds=0), tmp_path)

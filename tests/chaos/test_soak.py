"""The verdict on a soak, and the looks that it is made of."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from chaos.errors import ChaosError
from chaos.soak.footprint import Footprint, Watch, footprint_of
from chaos.soak.judge import Findings, judge_soak
from chaos.soak.report import JSON_FILE, PLOT_FILE, markdown, write_soak
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from tests.deploy.running import wait_for
from tests.loadtest.hand_made import hand_made_records

SECONDS = 3600.0
EVERY = 10.0
MB = 1_000_000
RATE = 10.0
COUNT = round(RATE * SECONDS)


def looks(
    memory_mb: Callable[[float], float] = lambda second: 600.0,
    descriptors: Callable[[float], int] = lambda second: 140,
    threads: Callable[[float], int] = lambda second: 350,
    shared_mb: Callable[[float], float] = lambda second: 8.0,
    pids: Callable[[float], tuple[int, ...]] = lambda second: (1, 2, 3),
) -> list[Footprint]:
    """A look every ten seconds; what each function gives is that at a second."""
    return [
        Footprint(
            at,
            {"api": round(0.2 * memory_mb(at) * MB), "engines": round(0.8 * memory_mb(at) * MB)},
            descriptors(at),
            threads(at),
            round(shared_mb(at) * MB),
            pids(at),
        )
        for at in np.arange(0, SECONDS, EVERY).tolist()
    ]


def steady(**options: object) -> Records:
    """Latencies around 10 ms with a tail, the same at any time."""
    latencies = np.random.default_rng(1).gamma(4.0, 3.0, COUNT)
    return hand_made_records(
        COUNT, **{"rate_per_second": RATE, "latency_ms": latencies.tolist()} | options
    )


def judged(seen: list[Footprint], records: Records | None = None) -> Findings:
    return judge_soak(seen, steady() if records is None else records, SECONDS)


def test_what_stays_as_it_is_holds_though_it_warmed_up_and_trembles() -> None:
    noise = np.random.default_rng(2)

    def memory_mb(second: float) -> float:
        return 600 - 200 * math.exp(-second / 120) + noise.normal(0, 5)

    found = judged(looks(memory_mb, descriptors=lambda s: 140 + int(noise.integers(0, 9))))
    assert found.faults == []
    assert abs(found.memory_growth["total"]) < 0.01
    assert found.answered == found.requests == COUNT


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        # 4 % over the last three quarters, evenly.
        (looks(lambda s: 600 + 0.04 * 600 * s / (0.75 * SECONDS)), "memory grew"),
        (looks(lambda s: 600 if s < 0.7 * SECONDS else 640), "memory grew"),
        (looks(descriptors=lambda s: 140 + int(s // 600)), "descriptors grew"),
        (looks(threads=lambda s: 350 + int(s // 600)), "threads grew"),
        (looks(shared_mb=lambda s: 8 if s < 0.7 * SECONDS else 8.1), "shared memory grew"),
        (looks(pids=lambda s: (1, 2, 3) if s < 2000 else (1, 2, 4)), "came or went"),
    ],
)
def test_what_grows_or_is_started_anew_is_named(seen: list[Footprint], told: str) -> None:
    [fault] = judged(seen).faults
    assert told in fault


def test_a_growth_of_two_percent_is_allowed() -> None:
    found = judged(looks(lambda s: 600 + 0.02 * 600 * s / (0.75 * SECONDS)))
    assert found.faults == []
    assert found.memory_growth["total"] == pytest.approx(0.02, abs=0.001)


def test_a_tail_that_grows_is_named_and_a_few_bad_seconds_are_not() -> None:
    latencies = np.random.default_rng(1).gamma(4.0, 3.0, COUNT)
    slower = np.where(np.arange(COUNT) > 0.75 * COUNT, 1.4 * latencies, latencies)
    [fault] = judged(looks(), steady(latency_ms=slower.tolist())).faults
    assert fault.startswith("P99 went from")
    stalled = latencies.copy()
    stalled[-30:] += 100
    assert judged(looks(), steady(latency_ms=stalled.tolist())).faults == []


def test_what_is_given_up_at_the_end_counts_as_slow_and_errors_as_failures() -> None:
    outcomes = np.full(COUNT, OK)
    outcomes[-COUNT // 8 :: 5] = TIMEOUT
    [fault] = judged(looks(), steady(outcome=outcomes.tolist())).faults
    assert "to inf ms" in fault
    outcomes = np.full(COUNT, OK)
    outcomes[5], outcomes[6] = ERROR, REFUSED
    found = judged(looks(), steady(outcome=outcomes.tolist()))
    assert found.faults == ["1 requests failed"]
    assert found.refused == 1


def test_the_report_has_every_figure(tmp_path: Path) -> None:
    seen, records = looks(), steady()
    found = judged(seen, records)
    write_soak(tmp_path, seen, records, found, "python -m chaos.soak")
    written = json.loads((tmp_path / JSON_FILE).read_text())
    assert written["held"] is True
    assert len(written["minutes"]) == 60
    assert sum(minute["answered"] for minute in written["minutes"]) == COUNT
    assert len(written["looks"]) == len(seen)
    assert "<svg" in (tmp_path / PLOT_FILE).read_text()
    assert "| verdict | holds |" in markdown(found)


HOLDS = """
import sys, threading
kept = bytearray(50_000_000)
for page in range(0, len(kept), 4096):
    kept[page] = 1
files = [open("/dev/null") for _ in range(20)]
threads = [threading.Thread(target=sys.stdin.read) for _ in range(3)]
[thread.start() for thread in threads]
print("ready", flush=True)
"""


def test_a_look_sees_memory_descriptors_and_threads_of_a_process() -> None:
    command = [sys.executable, "-c", HOLDS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stack = SimpleNamespace(pid=process.pid, log_path=Path("service.log"))
        region = Path("/dev/shm") / f"sub50-{process.pid}-test"
        region.write_bytes(b"x" * 10_000)
        try:
            look = footprint_of(stack, 0.0)  # type: ignore[arg-type]
            with Watch(stack, 0.05) as watch:  # type: ignore[arg-type]
                wait_for(lambda: len(watch.looks) > 2, 10, lambda: str(watch.error))
        finally:
            region.unlink()
        process.communicate()
    assert 50 * MB < look.total_bytes < 80 * MB
    assert look.descriptors >= 23
    assert look.threads == 4
    assert 10_000 <= look.shared_bytes <= 16_384
    assert look.pids == (process.pid,) != (os.getpid(),)
    with pytest.raises(ChaosError, match=r"ended; see service\.log"):
        footprint_of(stack, 0.0)  # type: ignore[arg-type]

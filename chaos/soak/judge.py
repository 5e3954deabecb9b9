"""Does it hold for hours? Growth of memory and the rest, and whether the P99 stays where it was.

The first quarter is for warming up. Growth is that from the middle of the second quarter to the
middle of the last, by medians, which steps and leaks move and single looks do not. Over all three
quarters a leak grows half as much again, so that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from chaos.soak.footprint import Footprint
from loadtest.binomial import at_least
from loadtest.kinds import BULK_KINDS
from loadtest.percentiles import percentile
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.verdict import DOUBT, MISS_SHARE

Milliseconds = NDArray[np.float64]

QUARTERS = 4
WHOLE_PER_MIDDLES = 1.5
MOST_MEMORY_GROWTH = 0.03
# Connections come and go with the load. A leak of one in ten minutes is more in half an hour.
MOST_MORE_DESCRIPTORS = 2
MOST_MORE_THREADS = 2
# The tail of a machine that others use moves by this much between two quarters without a cause of
# ours; a service that slows down goes on slowing.
P99_ALLOWANCE_MS = 5.0


@dataclass(frozen=True)
class Findings:
    """What a soak showed; `faults` is empty where it held.

    `memory_growth` are shares, over the last three quarters: of all processes together under
    "total", and of each kind. `failed` are other statuses than 200, 429 and 504, and broken
    connections; `timeouts` are 504s, and no answer within the client's patience. P99s are of
    interactive requests that were answered or given up, in ms, by quarter.
    """

    requests: int
    answered: int
    refused: int
    timeouts: int
    failed: int
    memory_growth: dict[str, float]
    descriptors: tuple[float, float]
    threads: tuple[float, float]
    shared_bytes: tuple[float, float]
    p99_ms: list[float]
    faults: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether nothing grew, slowed down or failed."""
        return not self.faults


def judge_soak(
    looks: Sequence[Footprint],
    records: Records,
    seconds: float,
    most_growth: float = MOST_MEMORY_GROWTH,
) -> Findings:
    """Judge a soak by looks at the service and the records of the load, warm-up dropped.

    `most_growth` is the share that memory may grow by over the last three quarters.
    """
    growth = {"total": _growth(looks, seconds, lambda look: look.total_bytes)}
    for kind in looks[-1].memory_bytes:
        growth[kind] = _growth(looks, seconds, lambda look, k=kind: look.memory_bytes.get(k, 0))  # type: ignore[misc]
    quarters = quarters_of(records, seconds)
    found = Findings(
        requests=len(records),
        answered=int(np.sum(records.outcome == OK)),
        refused=int(np.sum(records.outcome == REFUSED)),
        timeouts=int(np.sum(records.outcome == TIMEOUT)),
        failed=int(np.sum(records.outcome == ERROR)),
        memory_growth=growth,
        descriptors=_ends(looks, seconds, lambda look: look.descriptors),
        threads=_ends(looks, seconds, lambda look: look.threads),
        shared_bytes=_ends(looks, seconds, lambda look: look.shared_bytes),
        p99_ms=[p99_ms(quarter) for quarter in quarters],
    )
    found.faults.extend(_faults(found, looks, quarters, most_growth))
    return found


def _faults(
    found: Findings,
    looks: Sequence[Footprint],
    quarters: Sequence[Milliseconds],
    most_growth: float,
) -> list[str]:
    faults = []
    total = found.memory_growth["total"]
    if total >= most_growth:
        faults.append(f"memory grew by {100 * total:.1f} %, {100 * most_growth:g} % are allowed")
    for what, (before, after), most in (
        ("descriptors", found.descriptors, MOST_MORE_DESCRIPTORS),
        ("threads", found.threads, MOST_MORE_THREADS),
        ("bytes of shared memory", found.shared_bytes, 0),
    ):
        if after > before + most:
            faults.append(f"{what} grew from {before:g} to {after:g}")
    if any(look.pids != looks[0].pids for look in looks):
        faults.append("processes came or went")
    if found.failed:
        faults.append(f"{found.failed} requests failed")
    if is_slower(quarters[1], quarters[-1]):
        faults.append(f"P99 went from {found.p99_ms[1]:.1f} ms to {found.p99_ms[-1]:.1f} ms")
    return faults


def _ends(
    looks: Sequence[Footprint], seconds: float, value: Callable[[Footprint], float]
) -> tuple[float, float]:
    """Medians of the second and of the last quarter."""
    quarter = seconds / QUARTERS
    second = [value(look) for look in looks if quarter <= look.seconds < 2 * quarter]
    last = [value(look) for look in looks if look.seconds >= seconds - quarter]
    return float(median(second)), float(median(last))


def _growth(
    looks: Sequence[Footprint], seconds: float, value: Callable[[Footprint], float]
) -> float:
    before, after = _ends(looks, seconds, value)
    return WHOLE_PER_MIDDLES * (after - before) / before if before else 0.0


def quarters_of(records: Records, seconds: float) -> list[Milliseconds]:
    """Latencies of interactive requests, by the quarter in which they were due.

    One that was given up took infinitely long; refused ones and errors are counted elsewhere.
    """
    is_answered = records.outcome == OK
    counted = records.where(
        ~records.is_kind(BULK_KINDS) & (is_answered | (records.outcome == TIMEOUT))
    )
    if not len(counted):
        return [np.empty(0) for _ in range(QUARTERS)]
    latency_ms = np.where(counted.outcome == OK, counted.latency_us / 1e3, np.inf)
    since_us = counted.scheduled_us - records.scheduled_us.min()
    number = np.minimum((since_us / 1e6 * QUARTERS / seconds).astype(int), QUARTERS - 1)
    return [latency_ms[number == each] for each in range(QUARTERS)]


def p99_ms(latencies_ms: Milliseconds) -> float:
    """The P99 by nearest rank; NaN of none."""
    return percentile(latencies_ms, 100 * (1 - MISS_SHARE))


def is_slower(
    before: Milliseconds,
    after: Milliseconds,
) -> bool:
    """Whether the P99 of `after` lies over that of `before` by more than allowance and chance.

    A one-sided binomial test, at 99 % confidence: more than one in a hundred of `after` took longer
    than the P99 of `before` and the allowance.
    """
    if not before.size or not after.size:
        return bool(before.size)  # none was answered any more
    over = int(np.sum(after > p99_ms(before) + P99_ALLOWANCE_MS))
    return at_least(over, after.size, MISS_SHARE) <= DOUBT

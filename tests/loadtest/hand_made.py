"""Records and verdicts made by hand, without a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadtest.records import OK, Records
from loadtest.verdict import Verdict


def hand_made_records(
    count: int,
    *,
    rate_per_second: float = 100.0,
    latency_ms: float | Sequence[float] = 10.0,
    lag_ms: float = 0.0,
    outcome: int | Sequence[int] = OK,
    kind: int | Sequence[int] = 0,
    kinds: tuple[str, ...] = ("sentence",),
) -> Records:
    """Evenly scheduled requests; a single value stands for all of them."""
    scheduled_us = (np.arange(count) * 1e6 / rate_per_second).astype(np.int64)
    outcomes = np.broadcast_to(np.asarray(outcome), count)
    return Records(
        scheduled_us=scheduled_us,
        sent_us=scheduled_us + round(lag_ms * 1e3),
        finished_us=scheduled_us + (np.broadcast_to(latency_ms, count) * 1e3).astype(np.int64),
        outcome=outcomes.astype(np.uint8),
        status=np.array([200, 429, 500, 0])[outcomes].astype(np.uint16),
        kind=np.broadcast_to(np.asarray(kind), count).astype(np.uint8),
        kinds=kinds,
    )


def hand_made_verdict(
    outcome: str, *, n: int = 1000, late: int = 0, reasons: Sequence[str] = ()
) -> Verdict:
    """A verdict on `n` requests of which `late` missed the budget."""
    p99_ms = 12.0 if late <= 0.01 * n else 80.0
    return Verdict(outcome, p99_ms, n, late, late, 0, 0, 0, 100.0, list(reasons))

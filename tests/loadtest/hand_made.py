"""Records and verdicts made by hand, without a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from loadtest.records import OK, Microseconds, Records
from loadtest.verdict import Verdict


def hand_made_records(
    count: int,
    *,
    rate_per_second: float = 100.0,
    latency_ms: float | Sequence[float] = 10.0,
    lag_ms: float | Sequence[float] = 0.0,
    outcome: int | Sequence[int] = OK,
    kind: int | Sequence[int] = 0,
    kinds: tuple[str, ...] = ("sentence",),
) -> Records:
    """Evenly scheduled requests; a single value stands for all of them."""
    scheduled_us = (np.arange(count) * 1e6 / rate_per_second).astype(np.int64)
    outcomes = np.broadcast_to(np.asarray(outcome, int), count)
    return Records(
        scheduled_us=scheduled_us,
        sent_us=scheduled_us + microseconds(lag_ms, count),
        finished_us=scheduled_us + microseconds(latency_ms, count),
        outcome=outcomes.astype(np.uint8),
        status=np.array([200, 429, 500, 0])[outcomes].astype(np.uint16),
        kind=np.broadcast_to(np.asarray(kind), count).astype(np.uint8),
        kinds=kinds,
    )


def made(latency_ms: Sequence[float], **options: Any) -> Records:
    """A request for each latency, of the kinds sentence (0) and contract (1)."""
    return hand_made_records(
        len(latency_ms), latency_ms=latency_ms, kinds=("sentence", "contract"), **options
    )


def microseconds(ms: float | Sequence[float], count: int) -> Microseconds:
    return np.round(np.broadcast_to(np.asarray(ms, float), count) * 1e3).astype(np.int64)


def hand_made_verdict(
    outcome: str, *, n: int = 1000, late: int = 0, reasons: Sequence[str] = ()
) -> Verdict:
    """A verdict on `n` requests of which `late` missed the budget."""
    p99_ms = 12.0 if late <= 0.01 * n else 80.0
    return Verdict(outcome, p99_ms, n, late, late, 0, 0, 0, 100.0, list(reasons))

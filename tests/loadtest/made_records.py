"""Records made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadtest.records import OK, Records


def made(
    latency_ms: Sequence[float],
    *,
    outcome: Sequence[int] | None = None,
    kind: Sequence[int] | None = None,
    kinds: tuple[str, ...] = ("sentence", "contract"),
    lag_ms: Sequence[float] | None = None,
    rate_per_second: float = 100.0,
) -> Records:
    """Requests at an even rate from 0, sent in time unless `lag_ms` says otherwise."""
    n = len(latency_ms)
    scheduled_us = np.round(np.arange(n) * 1e6 / rate_per_second).astype(np.int64)
    lag_us = np.zeros(n) if lag_ms is None else np.array(lag_ms) * 1000
    outcomes = np.full(n, OK) if outcome is None else np.array(outcome)
    return Records(
        scheduled_us=scheduled_us,
        sent_us=scheduled_us + lag_us.astype(np.int64),
        finished_us=scheduled_us + np.round(np.array(latency_ms) * 1000).astype(np.int64),
        outcome=outcomes.astype(np.uint8),
        status=np.where(outcomes == OK, 200, 0).astype(np.uint16),
        kind=np.zeros(n, np.uint8) if kind is None else np.array(kind, np.uint8),
        kinds=kinds,
    )

"""A run on the terminal: counts and percentiles by kind of request."""

from __future__ import annotations

import numpy as np
from rich.table import Table

from loadtest.percentiles import percentile
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records

PERCENTS = (50.0, 90.0, 99.0, 99.9)


def summary_table(measured: Records, budget_ms: float) -> Table:
    """One column a kind; percentiles are of the answers, from their scheduled send, in ms."""
    table = Table(title="after the warm-up", title_justify="left")
    table.add_column("")
    for kind in measured.kinds:
        table.add_column(kind, justify="right")
    columns = [_cells(measured.of_kind(kind), budget_ms) for kind in measured.kinds]
    counts = ("offered", "answered", f"over {budget_ms:g} ms", "refused", "errors", "timeouts")
    headings = (*counts, *(f"P{percent:g} ms" for percent in PERCENTS), "largest ms")
    for heading, *cells in zip(headings, *columns, strict=True):
        table.add_row(heading, *cells)
    return table


def _cells(rows: Records, budget_ms: float) -> list[str]:
    latency_ms = rows.latency_us[rows.outcome == OK] / 1000
    counts = (
        len(rows),
        len(latency_ms),
        int(np.sum(latency_ms > budget_ms)),
        *(int(np.sum(rows.outcome == outcome)) for outcome in (REFUSED, ERROR, TIMEOUT)),
    )
    cells = [f"{count:,}" for count in counts]
    if not latency_ms.size:
        return cells + ["–"] * (len(PERCENTS) + 1)
    values = (*(percentile(latency_ms, percent) for percent in PERCENTS), latency_ms.max())
    return cells + [f"{value:.1f}" for value in values]

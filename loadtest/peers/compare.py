"""The arithmetic of the comparison: from what was measured to ratios and a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.table import Table

OURS = "ours"


@dataclass(frozen=True, slots=True)
class Measured:
    """One server and one kind of text in one round."""

    server: str
    kind: str
    round: int
    rate_per_second: float
    """The highest rate with P99 under budget; 0 where none was found."""
    limited_by: str
    """What kept a higher rate from holding: service, generator or max_rate."""
    one_client_p50_ms: float


@dataclass(frozen=True, slots=True)
class EngineAlone:
    """The engine in process, without a server, in one round."""

    kind: str
    round: int
    runtime: str
    texts_per_second: float
    """At its best batch."""
    one_text_p50_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One server and one kind of text: medians over the rounds, and how they compare."""

    server: str
    kind: str
    rate_per_second: float
    ours_over_it: float
    """Our best rate over this server's; NaN where ours was not measured."""
    over_engine: float
    """Its rate over the engine's alone."""
    one_client_p50_ms: float
    added_ms: float
    """What it adds to the engine alone at one client."""
    by_generator: bool
    """Whether the generator set the limit in a round, so that the server may carry more."""


def rows_of(measured: Sequence[Measured], alone: Sequence[EngineAlone]) -> list[Row]:
    """A row for each kind and server, kind by kind.

    Ratios and differences are taken within a round, where both sides saw the same machine; given
    is their median over the rounds.
    """
    kinds = dict.fromkeys(each.kind for each in measured)
    servers = dict.fromkeys(each.server for each in measured)
    return [
        row_of(mine, measured, alone)
        for kind in kinds
        for server in servers
        if (mine := [each for each in measured if (each.kind, each.server) == (kind, server)])
    ]


def row_of(
    mine: Sequence[Measured], measured: Sequence[Measured], alone: Sequence[EngineAlone]
) -> Row:
    """The row of one server and kind, out of its rounds `mine`."""
    server, kind = mine[0].server, mine[0].kind
    ours = {each.round: each for each in measured if (each.kind, each.server) == (kind, OURS)}
    engine = {each.round: each for each in alone if each.kind == kind}
    beside_ours = [(ours[each.round], each) for each in mine if each.round in ours]
    over_engine = [(each, engine[each.round]) for each in mine if each.round in engine]
    return Row(
        server,
        kind,
        rate_per_second=median(each.rate_per_second for each in mine),
        ours_over_it=median(
            ratio(our.rate_per_second, its.rate_per_second) for our, its in beside_ours
        ),
        over_engine=median(
            ratio(its.rate_per_second, engine.texts_per_second) for its, engine in over_engine
        ),
        one_client_p50_ms=median(each.one_client_p50_ms for each in mine),
        added_ms=median(
            its.one_client_p50_ms - engine.one_text_p50_ms for its, engine in over_engine
        ),
        by_generator=any(each.limited_by == "generator" for each in mine),
    )


def ratio(above: float, below: float) -> float:
    """above / below; infinite over 0, NaN for 0 over 0."""
    if below:
        return above / below
    return math.inf if above else math.nan


def median(values: Iterable[float]) -> float:
    """The median; NaN of nothing."""
    found = list(values)
    return statistics.median(found) if found else math.nan


def table_of(rows: Sequence[Row], budget_ms: float) -> Table:
    """The comparison for a terminal."""
    table = Table(
        title=f"best rate with P99 < {budget_ms:g} ms, and one client",
        caption="* the load generator was the limit: the server may carry more",
    )
    headings = ("best rate /s", "ours / it", "it / engine alone", "one client P50 ms", "added ms")
    table.add_column("texts")
    table.add_column("server")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row.kind,
            row.server,
            f"{row.rate_per_second:.0f}{'*' if row.by_generator else ''}",
            f"{row.ours_over_it:.2f}",
            f"{row.over_engine:.2f}",
            f"{row.one_client_p50_ms:.2f}",
            f"{row.added_ms:.2f}",
        )
    return table

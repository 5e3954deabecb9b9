"""The figures of `sub50 engines cost` in columns, as the terminal and the page show them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

from rich.markup import escape
from rich.table import Table

from engines.cost_record import Basis, CostReport, CostRow
from engines.price_list import described
from engines.tune_choose import BUDGET_MS

UNKNOWN = "–"
NO_PRICE = "no price"
# Not to be parted from the number by the end of a line.
AT_LEAST, AT_MOST = "≥\u00a0", "≤\u00a0"
TITLES: dict[Basis, str] = {
    "http": "Over HTTP, P99 under 50 ms",
    "call": f"Engine alone, P99 of a call under {BUDGET_MS:g} ms",
    "thread": "Engine alone, one thread, P99 not bounded",
}


@dataclass(frozen=True)
class Group:
    """Rows that may be set side by side: figures of one kind, on the same texts."""

    basis: Basis
    texts: str
    rows: tuple[CostRow, ...]

    @property
    def title(self) -> str:
        """What the figures are of."""
        return f"{TITLES[self.basis]}: {self.texts}"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    heading: str
    cell: Callable[[CostRow], str]


def groups(report: CostReport) -> Iterator[Group]:
    """The rows of a report, those that may be compared together."""
    figures = groupby(report.rows, lambda row: (row.figure.basis, row.figure.texts))
    for (basis, texts), rows in figures:
        yield Group(basis, texts, tuple(rows))


def columns(report: CostReport, group: Group) -> list[Column]:
    """All columns of a group's table, as the page shows them."""
    money = report.currency
    found = [
        Column("machine", lambda row: row.machine or NO_PRICE),
        Column("measured on", lambda row: described(row.figure.hardware)),
        Column("engine", lambda row: f"{row.model} {row.version}"),
        Column("run as", lambda row: row.figure.way),
        Column("measured, /s", lambda row: f"{row.figure.per_second:,.0f}"),
        Column("P99, ms", lambda row: f"{row.figure.p99_ms:.1f}"),
        Column("requests/s", requests_per_second),
        Column(f"{money} an hour", lambda row: amount(row.price_per_hour)),
        Column(f"{money} a million", lambda row: amount(row.per_million, most(row))),
        Column(
            f"at {percent(report.utilisation)} of it",
            lambda row: amount(row.per_million_as_planned, most(row)),
        ),
    ]
    for place, plan in enumerate(group.rows[0].planned):
        found += _planned(place, f"{plan.requests_per_second:,g}/s", money)
    return found


def requests_per_second(row: CostRow) -> str:
    """The best rate of one machine."""
    return f"{AT_LEAST if row.figure.at_least else ''}{row.requests_per_second:,.0f}"


def most(row: CostRow) -> str:
    """What stands before costs and replicas that are at most those given."""
    return AT_MOST if row.figure.at_least else ""


def _planned(place: int, rate: str, money: str) -> list[Column]:
    def replicas(row: CostRow) -> str:
        return f"{most(row)}{row.planned[place].replicas:,}"

    def cost(row: CostRow) -> str:
        return amount(row.planned[place].per_million, most(row))

    return [Column(f"replicas for {rate}", replicas), Column(f"{money} a million there", cost)]


def amount(value: float | None, before: str = "") -> str:
    """An amount of money, the smaller it is with the more digits."""
    if value is None:
        return UNKNOWN
    digits = ",.2f" if value >= 1 else ".3f" if value >= 0.01 else ".2g"
    return f"{before}{value:{digits}}"


def percent(share: float) -> str:
    """A share as text."""
    return f"{100 * share:.0f} %"


def terminal_tables(report: CostReport) -> Iterator[Table]:
    """A table for each group, narrow enough for a terminal."""
    for group in groups(report):
        table = Table(title=escape(group.title), title_justify="left")
        table.add_column("machine\nmeasured on", min_width=16)
        table.add_column("engine", no_wrap=True)
        table.add_column("requests\n/s", justify="right", no_wrap=True)
        table.add_column(f"{report.currency} a\nmillion", justify="right", no_wrap=True)
        table.add_column(f"at {percent(report.utilisation)}", justify="right")
        for plan in group.rows[0].planned:
            heading = f"{plan.requests_per_second:,g}/s:\nreplicas\na million"
            table.add_column(heading, justify="right", no_wrap=True)
        for row in group.rows:
            table.add_row(*map(escape, _terminal_cells(row)))
        yield table


def _terminal_cells(row: CostRow) -> Iterator[str]:
    yield f"{row.machine or NO_PRICE}\n{described(row.figure.hardware)}"
    yield f"{row.model} {row.version}"
    yield requests_per_second(row)
    yield amount(row.per_million, most(row))
    yield amount(row.per_million_as_planned, most(row))
    for plan in row.planned:
        yield f"{most(row)}{plan.replicas:,}\n{amount(plan.per_million, most(row))}"

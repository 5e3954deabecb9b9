"""The outcomes as a table: for the terminal, and as Markdown in RELIABILITY.md."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from fuzz.outcome import Outcome

COLUMNS = ("part", "inputs", "5xx", "undocumented", "let in", "other failures")


def cells(outcome: Outcome) -> list[str]:
    """One row, a cell for each column."""
    failures = (outcome.server_errors, outcome.undocumented, outcome.let_in, outcome.other)
    return [outcome.part, *(f"{count:,}" for count in (outcome.inputs, *failures))]


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """A row for each part, and one for all."""
    total = Outcome("all")
    for outcome in outcomes:
        total.inputs += outcome.inputs
        total.server_errors += outcome.server_errors
        total.undocumented += outcome.undocumented
        total.other += outcome.other
        total.let_in += outcome.let_in
    return [*map(cells, outcomes), cells(total)]


def terminal(outcomes: Sequence[Outcome]) -> Table:
    """For people at a terminal."""
    table = Table()
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left")
    for row in rows(outcomes):
        table.add_row(*row)
    return table


def markdown(outcomes: Sequence[Outcome], told: str) -> str:
    """For RELIABILITY.md; `told` says when and how it was run."""
    lines = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1)), *rows(outcomes)]
    return told + "\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)

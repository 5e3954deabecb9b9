"""The rows as a table: for the terminal, and as Markdown in RELIABILITY.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from chaos.errors import ChaosError
from chaos.row import Row

COLUMNS = (
    "fault",
    "sent",
    "right",
    "wrong",
    "refused",
    "late",
    "failed",
    "in flight (failed)",
    "s to notice",
    "s to recover",
    "in time before",
    "in time after",
    "left over",
)


def cells(row: Row) -> list[str]:
    """A row in words, one for each column."""
    return [
        row.fault,
        f"{row.sent:,}",
        f"{row.right:,}",
        f"{row.wrong:,}",
        f"{row.refused:,}",
        f"{row.late:,}",
        f"{row.failed:,}",
        f"{row.in_flight} ({row.in_flight_failed})",
        _seconds(row.notice_seconds),
        _seconds(row.recover_seconds),
        _share(row.in_time_before),
        _share(row.in_time_after),
        str(len(row.left)) if row.left else "nothing",
    ]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def terminal(rows: Sequence[Row]) -> Table:
    """For people at a terminal."""
    table = Table()
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for row in rows:
        table.add_row(*cells(row))
    return table


def markdown(rows: Sequence[Row], measured: str, before: str = "") -> str:
    """For RELIABILITY.md: `measured` says when and how, in the last column.

    Rows of `before`, an earlier such table, stay where their fault was not tried again.
    """
    head = [(*COLUMNS, "measured"), ("---", *["---:"] * (len(COLUMNS) - 1), "---")]
    lines = [_line(each) for each in (*head, *((*cells(row), measured) for row in rows))]
    again = {_fault_of(line) for line in lines}
    old = before.strip().splitlines()
    kept = old[2:] if old[:1] == lines[:1] else []  # else its columns were others
    found = [line for line in kept if _fault_of(line) not in again] + lines[2:]
    return "\n".join([*lines[:2], *sorted(found)])


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _fault_of(line: str) -> str:
    return line.split(" | ")[0]


def read_section(path: Path, section: str) -> str:
    """What is between the two comments; empty where they are not there."""
    text = path.read_text(encoding="utf-8")
    return text.partition(f"<!-- {section} -->\n")[2].partition(f"<!-- end of {section} -->")[0]


def write_section(path: Path, section: str, text: str) -> None:
    """Put `text` between the two comments that mark a section of a Markdown file.

    They are `<!-- SECTION -->` and `<!-- end of SECTION -->`, each on a line of its own.

    Raises:
        ChaosError: they are not there.
    """
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->"
    old = path.read_text(encoding="utf-8")
    head, found, rest = old.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ChaosError(f"{path} has no section between {begin.strip()} and {end}; add the two")
    path.write_text(f"{head}{begin}\n{text}\n\n{end}{tail}", encoding="utf-8")

"""A profile as rows and lines: what the terminal shows, and the page too."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from engines.profile_record import Part, Profile, Total
from engines.timeline import milliseconds

OPERATOR_HEADINGS = ("operator", "kind", "times", "ms", "share", "of it without", "mean µs")
MOST_OPERATORS = 15
# Names of kernels run over several lines.
LONGEST_NAME = 70
NOTHING = "Nothing stands out: no figure passes the threshold of any rule."


def headline(profile: Profile) -> str:
    """What was profiled, and how long it takes, in a line."""
    what = "a call" if profile.what == "call" else "a step of training"
    return (
        f"{profile.title}, {plural(profile.texts, 'text')} of {profile.tokens:.0f} tokens: {what} "
        f"takes {milliseconds(profile.plain_ms * 1e3)} ({profile.runs_on}, "
        f"{plural(profile.threads, 'thread')})"
    )


def advised(profile: Profile) -> list[str]:
    """What to try, a line each."""
    return [f"{each.found}: {each.advice}" for each in profile.advice]


def terminal_tables(profile: Profile) -> list[Table]:
    """Parts and operators, for a terminal."""
    parts = Table()
    parts.add_column("")
    for heading in ("ms", "share"):
        parts.add_column(heading, justify="right")
    for row in part_rows(profile.parts):
        parts.add_row(*row)
    parts.add_section()
    parts.add_row("with the profiler:", "", "")
    for row in part_rows(profile.inside):
        parts.add_row(*row)
    operators = Table()
    for place, heading in enumerate(OPERATOR_HEADINGS):
        operators.add_column(heading, justify="left" if place < 2 else "right")
    for total in profile.operators[:MOST_OPERATORS]:
        operators.add_row(*total_row(total, profile))
    return [parts, operators]


def terminal_lines(profile: Profile) -> list[str]:
    """What to try, for a terminal."""
    return [f"Try: {line}" for line in advised(profile)] or [NOTHING]


def part_rows(parts: Sequence[Part]) -> tuple[tuple[str, ...], ...]:
    """Name, ms and share of each."""
    return tuple((part.name, f"{part.ms:.3f}", f"{100 * part.share:.1f} %") for part in parts)


def total_row(total: Total, profile: Profile) -> tuple[str, ...]:
    """Cells under `OPERATOR_HEADINGS`."""
    return (
        shortened(total.name),
        total.group,
        f"{total.calls:.1f}",
        f"{total.ms:.3f}",
        f"{100 * total.share:.1f} %",
        f"{100 * total.ms / profile.plain_ms:.1f} %",
        f"{total.mean_us:.1f}",
    )


def shortened(name: str) -> str:
    """A name as long as a table has room for."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def plural(number: int, noun: str) -> str:
    """So many of them."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

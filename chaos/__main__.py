"""`python -m chaos`: run faults, print the table, and write it into RELIABILITY.md if asked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos.errors import ChaosError
from chaos.faults import all_faults
from chaos.row import Row
from chaos.stack import ROOT
from chaos.table import markdown, terminal, write_section
from chaos.trial import Conditions, run_trial
from loadtest.stack import sigterm_exits

RELIABILITY = ROOT / "RELIABILITY.md"
SECTION = "faults"
# Narrower, its words would be cut.
TABLE_WIDTH = 150
console = Console(stderr=True, highlight=False)


def main(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[FAULT]…", help="Which; all by default.")
    ] = None,
    rate: Annotated[float, typer.Option(min=1, help="Requests a second.")] = 60.0,
    before: Annotated[float, typer.Option(min=1, help="Seconds of load before the strike.")] = 5.0,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of load from the strike.")] = 20.0,
    write: Annotated[bool, typer.Option("--write", help="Write RELIABILITY.md.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Name the faults, and do nothing.")] = False,
) -> None:
    """Break a service of the project's own engines under load, one fault after another."""
    faults = all_faults()
    if show:
        for name, fault in faults.items():
            typer.echo(f"{name:20} {(fault.__doc__ or '').splitlines()[0]}")
        return
    unknown = sorted(set(names or ()) - set(faults))
    if unknown:
        raise typer.BadParameter(f"no fault {unknown[0]}; there are {', '.join(faults)}")
    conditions = Conditions(rate, before, seconds)
    rows: list[Row] = []
    try:
        with sigterm_exits():
            for name in names or faults:
                rows.append(_run(name, conditions))
    except ChaosError as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from None
    Console(width=max(TABLE_WIDTH, console.width)).print(terminal(rows))
    if write:
        write_section(RELIABILITY, SECTION, _dated(rows, names or (), conditions))


def _run(name: str, conditions: Conditions) -> Row:
    console.print(f"{name} …")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        row = run_trial(all_faults()[name], conditions, Path(folder))
    for why, count in row.failures[:5]:
        console.print(f"  {count} × {why}", markup=False)
    for path in row.left:
        console.print(f"  left over: {path}", markup=False)
    return row


def _dated(rows: Sequence[Row], names: Sequence[str], conditions: Conditions) -> str:
    today = datetime.now(UTC).date().isoformat()
    command = [
        "python -m chaos",
        *names,
        f"--rate {conditions.rate_per_second:g}",
        f"--before {conditions.before_seconds:g}",
        f"--seconds {conditions.after_seconds:g}",
        "--write",
    ]
    return f"{today}, `{' '.join(command)}`:\n\n{markdown(rows)}"


if __name__ == "__main__":
    typer.run(main)

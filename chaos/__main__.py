"""`python -m chaos`: run faults, print the table, and write it into RELIABILITY.md if asked."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos.drain import NAME, run_drains
from chaos.errors import ChaosError, NotHere
from chaos.faults import all_faults
from chaos.row import Row
from chaos.stack import ROOT
from chaos.table import markdown, read_section, terminal, write_section
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
    faults = {NAME: run_drains.__doc__, **{n: f.__doc__ for n, f in all_faults().items()}}
    if show:
        for name, description in faults.items():
            typer.echo(f"{name:20} {(description or '').splitlines()[0]}")
        return
    unknown = sorted(set(names or ()) - set(faults))
    if unknown:
        raise typer.BadParameter(f"no fault {unknown[0]}; there are {', '.join(faults)}")
    conditions = Conditions(rate, before, seconds)
    rows: list[Row] = []
    try:
        with sigterm_exits():
            for name in names or faults:
                try:
                    rows.append(_run(name, conditions))
                except NotHere as error:
                    if names:  # it was asked for
                        raise
                    console.print(f"  left out: {error}", markup=False)
    except ChaosError as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from None
    Console(width=max(TABLE_WIDTH, console.width)).print(terminal(rows))
    if write:
        table = markdown(rows, _measured(conditions), read_section(RELIABILITY, SECTION))
        write_section(RELIABILITY, SECTION, table)


def _run(name: str, conditions: Conditions) -> Row:
    console.print(f"{name} …")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        if name == NAME:
            row = run_drains(conditions, Path(folder))
        else:
            row = run_trial(all_faults()[name], conditions, Path(folder))
    for why, count in row.failures[:5]:
        console.print(f"  {count} × {why}", markup=False)
    for path in row.left:
        console.print(f"  left over: {path}", markup=False)
    return row


def _measured(conditions: Conditions) -> str:
    """When and how, for the table."""
    today = datetime.now(UTC).date().isoformat()
    rate, before = conditions.rate_per_second, conditions.before_seconds
    return f"{today}, {rate:g}/s, {before:g} s before and {conditions.after_seconds:g} s after"


if __name__ == "__main__":
    typer.run(main)

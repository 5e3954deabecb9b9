"""`python -m fuzz`: run the parts, print the table, and write it into RELIABILITY.md if asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos.errors import ChaosError
from chaos.table import write_section
from fuzz.bodies import fuzz_bodies
from fuzz.control import fuzz_control
from fuzz.document import fuzz_document
from fuzz.errors import FuzzError
from fuzz.keyed import fuzz_keys
from fuzz.outcome import Outcome
from fuzz.properties import fuzz_properties
from fuzz.report import markdown, terminal
from fuzz.sockets import fuzz_sockets
from fuzz.target import running_stack
from loadtest.stack import sigterm_exits

ROOT = Path(__file__).parent.parent
RELIABILITY = ROOT / "RELIABILITY.md"
SECTION = "fuzzing"
# There are about thirty properties, and each gets as many inputs.
PROPERTIES = 30
console = Console(stderr=True, highlight=False)


def main(
    inputs: Annotated[int, typer.Option(min=100, help="About so many in all.")] = 40_000,
    seed: Annotated[int, typer.Option(min=0, help="The same one makes the same inputs.")] = 0,
    logs: Annotated[Path, typer.Option(help="Folder for logs and for what failed.")] = ROOT
    / "build"
    / "fuzz",
    write: Annotated[bool, typer.Option("--write", help="Write RELIABILITY.md.")] = False,
) -> None:
    """Give the service hostile input of every kind, and count what it must never do."""
    try:
        with sigterm_exits():
            outcomes = run_all(inputs, seed, logs.resolve())
        Console(width=max(100, console.width)).print(terminal(outcomes))
        if write:
            write_section(RELIABILITY, SECTION, markdown(outcomes, _told(inputs, seed)))
    except (FuzzError, ChaosError) as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(2) from None
    if any(outcome.failures for outcome in outcomes):
        raise typer.Exit(1)


def run_all(inputs: int, seed: int, logs: Path) -> list[Outcome]:
    """Every part with its share of the inputs, the live ones against one service, or one with keys.

    Raises:
        FuzzError: a part could not be run.
    """
    tenth = inputs // 10
    # One from the document costs as much as twenty others.
    with running_stack() as target:
        outcomes = [
            _said(lambda: fuzz_document(target, tenth, seed, logs)),
            _said(lambda: fuzz_sockets(target, 2 * tenth, seed)),
            _said(lambda: fuzz_control(target, tenth, seed)),
        ]
    with running_stack(asks_for_keys=True) as keyed:
        outcomes.append(_said(lambda: fuzz_keys(keyed, tenth, seed)))
    outcomes.append(_said(lambda: fuzz_bodies(3 * tenth, seed, logs)))
    outcomes.append(_said(lambda: fuzz_properties(max(10, 2 * tenth // PROPERTIES), seed, logs)))
    return outcomes


def _said(part: Callable[[], Outcome]) -> Outcome:
    outcome = part()
    console.print(f"{outcome.part}: {outcome.inputs:,} inputs, {outcome.failures} failures")
    for finding in outcome.findings:
        console.print(f"  {finding}", markup=False)
    return outcome


def _told(inputs: int, seed: int) -> str:
    today = datetime.now(UTC).date().isoformat()
    return f"On {today}, by `python -m fuzz --inputs {inputs} --seed {seed} --write`:"


if __name__ == "__main__":
    typer.run(main)

"""The command `sub50 engines note-capacity`: puts what a load test found onto an engine's card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.commands import DEFAULT_REPOSITORY, AsJson, Repository, carry_out, print_json
from engines.evaluate_command import EngineName


def add_note_command(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("note-capacity")(note_capacity_of_engine)


def note_capacity_of_engine(
    engine: EngineName,
    file: Annotated[Path, typer.Argument(help="What `sub50 loadtest capacity --json` printed.")],
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Note on a card the rate that this machine held over HTTP, for `sub50 engines cost`."""
    from rich.console import Console

    from engines.capacity_note import note_capacity

    card = carry_out(lambda: note_capacity(engine, file, repository))
    noted = card.capacities[-1]
    if as_json:
        print_json(noted.model_dump(mode="json"))
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            f"{card.name} {card.version}: {noted.requests_per_second:.0f} requests/s of "
            f"{noted.texts} on {noted.hardware.name}, {noted.hardware.cores} cores.",
            markup=False,
        )

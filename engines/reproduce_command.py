"""The command `sub50 engines reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from engines.commands import AsJson, Base, TrackingUri, carry_out, print_json
from engines.finetune_command import Threads
from engines.training_side import needing


def add_reproduce(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("reproduce")(reproduce_adapter)


def reproduce_adapter(
    folder: Annotated[Path, typer.Argument(help="A folder with an adapter and its card.")],
    data: Annotated[Path, typer.Option(help="The data it was trained on.")],
    work: Annotated[Path, typer.Option(help="Where it is trained again.")] = Path("runs/reproduce"),
    base: Base = None,
    threads: Threads = 0,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Train an adapter again from its card; exit 0 if its bytes are the same, 1 if not."""
    result = carry_out(lambda: _run(folder, data, work, base, threads, tracking_uri))
    if as_json:
        print_json(result)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in in_words(result):
        console.print(line, markup=False)
    raise typer.Exit(0 if result["equal"] else 1)


def in_words(result: dict[str, Any]) -> list[str]:
    """What came of it, a line each."""
    if result["equal"]:
        return [f"The same bytes came out: {result['found']}."]
    lines = [f"Other bytes came out: {result['found']}, the card says {result['expected']}."]
    if result["differences"]:
        return [*lines, *result["differences"]]
    return [
        *lines,
        "The tools are the same; processor and number of threads can make a difference.",
    ]


def _run(
    folder: Path, data: Path, work: Path, base: Path | None, threads: int, uri: str | None
) -> dict[str, Any]:
    with needing("reproducing", "PyTorch"):
        from engines.reproduce import reproduce
        from engines.trained_on import read_record
    from engines.base import ensure_base
    from engines.network import use_threads
    from engines.tracking import tracked

    use_threads(threads)
    card = read_record(folder)
    found = ensure_base(base)
    with tracked("reproduce", card["task"], card["recipe"], card["data"], uri) as run:
        result = reproduce(card, data, found, work)
        run.tag("equal", result["equal"])
        run.text("result.json", result)
    return result

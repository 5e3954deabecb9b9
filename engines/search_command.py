"""The command `sub50 engines search`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from engines.commands import AsJson, Base, TrackingUri, carry_out, print_json
from engines.finetune_command import LabelColumn, Labels, TextColumn, Threads
from engines.training_side import needing

WORK = Path("runs/search")


def add_search(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("search")(search_recipe)


def search_recipe(
    name: Annotated[str, typer.Argument(help="A default task, or a name for your data set.")],
    data: Annotated[Path, typer.Option(help="The task's data folders, or your data set.")],
    trials: Annotated[int, typer.Option(min=1, help="In all, earlier runs' counted.")] = 40,
    texts: Annotated[int, typer.Option(min=1, help="Training texts of a trial.")] = 2000,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Begin no trial after this many minutes.")
    ] = None,
    confirm: Annotated[
        Path | None,
        typer.Option(help="Labelled texts: train default and best in full, compare on them."),
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="Draw the trials, SVG.")] = None,
    work: Annotated[Path, typer.Option(help="Where study and checkpoints are kept.")] = WORK,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    labels: Labels = None,
    base: Base = None,
    threads: Threads = 0,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Search for a better recipe: rank, alpha, learning rate and epochs, with Optuna."""
    names = tuple(label.strip() for label in (labels or "").split(",") if label.strip())
    reading = {"text_column": text_column, "label_column": label_column, "labels": names}
    files = {"data": data, "work": work, "base": base, "chart": chart, "confirm": confirm}
    asked = {"trials": trials, "texts": texts, "timeout_minutes": timeout}
    found = carry_out(lambda: _run(name, files, reading, asked, threads, tracking_uri))
    if as_json:
        print_json(found)
        return
    console = Console(stderr=True)
    console.print(_table(found))
    for line in next_steps(found):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _run(
    name: str,
    files: dict[str, Any],
    reading: dict[str, Any],
    asked: dict[str, Any],
    threads: int,
    tracking_uri: str | None,
) -> dict[str, Any]:
    with needing("searching", "PyTorch and Optuna"):
        from engines.finetuning import Reading
        from engines.search import Search
        from engines.search_run import Files, run_search
    named = Files(**files, reading=Reading(**reading), tracking_uri=tracking_uri)
    return run_search(name, named, Search(**asked), threads)


def _table(found: dict[str, Any]) -> Table:
    from engines.search_report import table

    return table(found)


def next_steps(found: dict[str, Any]) -> list[str]:
    """What the study says to do, a line each."""
    best, default = found["best"], found["default"]
    if best is None or default is None:
        return ["No trial ran to its end yet; run the same command again to go on."]
    if best["number"] == default["number"]:
        return ["No trial did better than the default recipe."]
    lines = [f"Best beats default by {100 * (best['value'] - default['value']):.1f} points here."]
    if "confirmed" in found:
        lines.append(found["confirmed"]["in_words"])
    else:
        lines.append(
            "It was chosen for doing well on these texts: --confirm FILE compares both, trained on "
            "all texts, on texts that no trial saw."
        )
    params = best["params"]
    options = " ".join(f"--{key.replace('_', '-')} {value:.3g}" for key, value in params.items())
    return [*lines, f"To train with it: sub50 engines finetune … {options} --patience 0"]

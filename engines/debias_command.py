"""The command `sub50 engines debias`: a trained adapter that answers alike about groups."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from engines.adapter_folder import named_folder
from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    TrackingUri,
    carry_out,
    print_json,
    table_console,
)
from engines.finetune_command import RUNS, Build, Threads, built
from engines.training_side import needing

if TYPE_CHECKING:
    from engines.debias import Debiasing
    from engines.tracking import Run


def add_debias(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("debias")(debias_adapter)


def debias_adapter(
    adapter: Annotated[
        str, typer.Argument(help="Folder of adapter and card, or a default model's name.")
    ],
    data: Annotated[Path, typer.Option(help="The data that it was trained on.")],
    steps: Annotated[int, typer.Option(min=1, help="About a second each on two cores.")] = 500,
    learning_rate: Annotated[float, typer.Option(min=1e-7, help="At its height.")] = 2e-4,
    even_weight: Annotated[
        float, typer.Option(min=0, help="How much answering alike counts beside keeping answers.")
    ] = 5.0,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal adapters.")] = 50,
    threads: Threads = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for adapter and card; runs/debiased/NAME by default."),
    ] = None,
    base: Base = None,
    build: Build = True,
    repository: Repository = DEFAULT_REPOSITORY,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Teach a trained adapter to answer alike about groups of people, and make an engine of it."""
    changes = {
        "steps": steps,
        "learning_rate": learning_rate,
        "even_weight": even_weight,
        "seed": seed,
    }

    def run() -> dict[str, Any]:
        asked = _asked(adapter, data, changes, out)
        return _run(asked, threads, base, repository if build else None, tracking_uri)

    result = carry_out(run)
    if as_json:
        print_json(result)


def _asked(adapter: str, data: Path, changes: dict[str, Any], out: Path | None) -> Debiasing:
    with needing("evening out", "PyTorch, transformers and peft"):
        from engines.debias import Debiasing, recipe_for
    folder = named_folder(adapter, "ADAPTER")
    target = out or RUNS / "debiased" / folder.resolve().name
    return Debiasing(folder, data, recipe_for(folder, **changes), target, RUNS / "debias")


def _run(
    asked: Debiasing,
    threads: int,
    base_folder: Path | None,
    repository: Path | None,
    tracking_uri: str | None,
) -> dict[str, Any]:
    """Even out, and build into the repository unless that is None; what came of both, for JSON."""
    from engines.base import ensure_base
    from engines.debias import debias
    from engines.network import use_threads
    from engines.tracking import tracked
    from engines.trained_on import read_record

    use_threads(threads)
    card = read_record(asked.adapter)
    base = ensure_base(base_folder)
    with tracked("debias", card["task"], asdict(asked.recipe), card["data"], tracking_uri) as run:
        card = debias(asked, base)
        _record(run, asked, card)
    table_console().print(_table(card["debiased"]))
    result = {"adapter": str(asked.out), "card": card}
    if repository is not None:
        result |= _built(asked, card, repository, base)
    return result


def _record(run: Run, asked: Debiasing, card: dict[str, Any]) -> None:
    for figures in card["debiased"]["history"]:
        run.metrics({"kept": figures["kept"], "even": figures["even"]}, figures["step"])
    for when in ("before", "after"):
        for kind, values in card["debiased"][when].items():
            run.metrics({f"{when}.{kind}.{name}": value for name, value in values.items()})
    run.artifact(asked.out / "card.json")
    run.register(card["task"], adapter_sha256=card["adapter_sha256"])


def _table(debiased: dict[str, Any]) -> Table:
    """The figures before and after, side by side."""
    table = Table("", "before", "after")
    before, after = debiased["before"], debiased["after"]
    for axis, gap in before["gap"].items():
        table.add_row(f"gap: {axis}", f"{gap:.3f}", f"{after['gap'][axis]:.3f}")
    for name, accuracy in before["accuracy"].items():
        row = (f"{100 * value:.1f} %" for value in (accuracy, after["accuracy"][name]))
        table.add_row(f"right: {name}", *row)
    return table


def _built(asked: Debiasing, card: dict[str, Any], repository: Path, base: Path) -> dict[str, Any]:
    from engines.build_trained import Trained
    from engines.trained_on import material_for

    description = f"One of {len(card['labels'])} labels, evened out between groups of people."
    trained = Trained(asked.out, card["task"], description)
    return built(trained, lambda: material_for(card, asked.data), repository, base)

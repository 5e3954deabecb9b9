"""The command `sub50 engines distill`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from engines.commands import AsJson, Base, TrackingUri, carry_out, print_json
from engines.errors import EngineError
from engines.model_name import require_name
from engines.training_side import needing

if TYPE_CHECKING:
    from engines.tracking import Run

OUT = Path("runs/distill")


def add_distill(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("distill")(distill)


def distill(
    name: Annotated[str, typer.Argument(help="The model that the engines are versions of.")],
    data: Annotated[Path, typer.Option(help="Labelled data: the task's folders, or a data set.")],
    teacher: Annotated[
        str | None, typer.Option(help="Adapter to learn from: its name or folder; NAME by default.")
    ] = None,
    layers: Annotated[str, typer.Option(help="Depths to make, as 4,3,2.")] = "3",
    out: Annotated[
        Path | None, typer.Option(help="Folder for what is made; runs/distill/NAME by default.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the texts.")] = 3,
    max_tokens: Annotated[int, typer.Option(min=8, max=512, help="Texts are cut here.")] = 128,
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the teacher's scores beside the labels.")
    ] = 0.7,
    temperature: Annotated[float, typer.Option(min=0.1, help="Softens the scores.")] = 2.0,
    hidden_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the vectors behind the teacher's layers.")
    ] = 1.0,
    learning_rate: Annotated[float, typer.Option(min=1e-7, help="At its height.")] = 3e-4,
    seed: Annotated[int, typer.Option(help="Of the order of texts and what is held back.")] = 50,
    threads: Annotated[int, typer.Option(min=0, help="While learning; 0 takes every core.")] = 0,
    base: Base = None,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Teach networks of fewer layers what a trained one answers, and compare them as engines."""
    changes = {
        "epochs": epochs,
        "max_tokens": max_tokens,
        "alpha": alpha,
        "temperature": temperature,
        "hidden_weight": hidden_weight,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    asked = Asked(name, teacher or name, layers, data, out or OUT / name, base, threads)
    report = carry_out(lambda: run_distill(asked, changes, tracking_uri))
    if as_json:
        print_json(report)


@dataclass(frozen=True)
class Asked:
    """The options as they were given, but for the recipe's."""

    name: str
    teacher: str
    layers: str
    data: Path
    out: Path
    base: Path | None
    threads: int


def run_distill(
    asked: Asked, changes: dict[str, Any], tracking_uri: str | None = None
) -> dict[str, Any]:
    """Distill, and write the report and its plot; returns the report.

    Args:
        changes: fields of the recipe, by name.
        tracking_uri: where the run is recorded.

    Raises:
        EngineError: an option, the teacher or the data is not what it should be.
    """
    from engines import distill_report
    from engines.drawing import require_matplotlib
    from engines.tracking import tracked

    require_name(asked.name, "NAME")
    depths = depths_of(asked.layers)
    require_matplotlib("the curve", "train,evaluate")
    with needing("distilling", "PyTorch and transformers"):
        from engines.distill import Distilling
        from engines.distill import distill as carry
        from engines.student_trainer import DistillRecipe

    told = Console(stderr=True)
    parameters = {**changes, "teacher": asked.teacher, "layers": asked.layers}
    with tracked("distill", asked.name, parameters, None, tracking_uri) as run:
        curve = carry(
            Distilling(
                asked.name, asked.teacher, depths, asked.data, asked.out,
                DistillRecipe(**changes), asked.base, asked.threads,
            ),
            told,
        )  # fmt: skip
        report = curve.as_dict()
        _record(run, asked, depths, report)
    text = json.dumps(report, indent=2) + "\n"
    (asked.out / distill_report.REPORT_FILE).write_text(text, encoding="utf-8")
    distill_report.write_curve_plot(curve, asked.out / distill_report.PLOT_FILE)
    told.print(distill_report.curve_table(curve))
    line = f"Serve one with `sub50 engines promote {asked.name} {asked.out}/layers-K/1`."
    told.print(line, highlight=False, soft_wrap=True)
    return report


def _record(run: Run, asked: Asked, depths: tuple[int, ...], report: dict[str, Any]) -> None:
    """Each student as a run within, registered by its adapter."""
    for depth in depths:
        path = asked.out / f"layers-{depth}" / "card.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        run.data(card["data"])
        child = run.child(path.parent.name, {"layers": depth})
        for epoch in card["history"]:
            figures = {name: value for name, value in epoch.items() if name != "epoch"}
            child.metrics(figures, epoch["epoch"])
        child.artifact(path)
        child.register(asked.name, adapter_sha256=card["adapter_sha256"])
        child.end()
    run.text("report.json", report)


def depths_of(layers: str) -> tuple[int, ...]:
    """The numbers in `4,3,2`, each once.

    Raises:
        EngineError: there is something else in it.
    """
    try:
        found = [int(part) for part in layers.split(",")]
    except ValueError:
        raise EngineError(f"--layers {layers}: name numbers, as in --layers 4,3,2") from None
    return tuple(dict.fromkeys(found))

"""The command `sub50 engines finetune`: a team's own labelled texts to an engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    TrackingUri,
    carry_out,
    print_json,
)
from engines.errors import EngineError
from engines.model_name import require_name
from engines.recipe import METHODS, Recipe
from engines.training_side import needing

if TYPE_CHECKING:
    from engines.build_trained import Trained
    from engines.dataset import Dataset
    from engines.finetuning import FineTuning
    from engines.material import Material
    from engines.tracking import Run

RUNS = Path("runs")
# Low-rank updates bear, and need, higher rates than the weights themselves.
LEARNING_RATES = {"lora": 6e-4, "qlora": 6e-4, "full": 1e-4}

Name = Annotated[str, typer.Argument(help="What the model is to be called.")]
Data = Annotated[Path, typer.Option(help="Labelled texts: a file, or a folder with splits.")]
Method = Annotated[str, typer.Option(help="What is trained: lora, full, or qlora (needs a GPU).")]
Epochs = Annotated[int, typer.Option(min=1, help="At most so many times through the texts.")]
Rate = Annotated[
    float | None,
    typer.Option(help="Highest learning rate; 6e-4 by default, 1e-4 with --method full."),
]
Rank = Annotated[int, typer.Option(min=1, help="Rank of the low-rank updates.")]
Alpha = Annotated[int, typer.Option(min=1, help="Their scale, times the rank.")]
MaxTokens = Annotated[
    int, typer.Option(min=8, max=512, help="Training texts are cut at; served ones at 512.")
]
Patience = Annotated[
    int, typer.Option(min=0, help="Stop after so many epochs without gain; 0 trains them all.")
]
ClassWeights = Annotated[bool, typer.Option(help="Count rare labels more.")]
Checkpointing = Annotated[bool, typer.Option(help="Less memory, more time.")]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal adapters.")]
Threads = Annotated[int, typer.Option(min=0, help="PyTorch's threads; 0 takes every core.")]
TextColumn = Annotated[str, typer.Option(help="Column of the texts.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the labels.")]
Labels = Annotated[str | None, typer.Option(help="Names of numbered labels, in their order: a,b,…")]
Share = Annotated[
    float, typer.Option(help="Part of train that is held back where there is no validation split.")
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for adapter and card; runs/adapters/NAME by default.")
]
Build = Annotated[bool, typer.Option(help="Make the engine too.")]
Force = Annotated[bool, typer.Option("--force", help="Allow the name of a default model.")]


def add_finetune(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("finetune")(finetune)


def finetune(
    name: Name,
    data: Data,
    method: Method = "lora",
    epochs: Epochs = 4,
    learning_rate: Rate = None,
    rank: Rank = 16,
    alpha: Alpha = 32,
    max_tokens: MaxTokens = 256,
    patience: Patience = 2,
    class_weights: ClassWeights = False,
    gradient_checkpointing: Checkpointing = False,
    seed: Seed = 50,
    threads: Threads = 0,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    labels: Labels = None,
    validation_share: Share = 0.1,
    out: Out = None,
    base: Base = None,
    build: Build = True,
    force: Force = False,
    repository: Repository = DEFAULT_REPOSITORY,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Train the base on your labelled texts, and make an INT8 engine of it."""
    recipe = {"rank": rank, "alpha": alpha, "patience": patience, "seed": seed}
    recipe |= {"class_weights": class_weights, "gradient_checkpointing": gradient_checkpointing}
    reading: dict[str, Any] = {
        "text_column": text_column,
        "label_column": label_column,
        "labels": labels,
    }
    reading |= {"validation_share": validation_share}

    def run() -> dict[str, Any]:
        _require_name(name, force)
        made = _recipe(method, epochs, max_tokens, learning_rate, recipe)
        asked = _asked(name, data, reading, made, out)
        return _run(asked, threads, base, repository if build else None, tracking_uri)

    result = carry_out(run)
    if as_json:
        print_json(result)


def _run(
    asked: FineTuning,
    threads: int,
    base_folder: Path | None,
    repository: Path | None,
    tracking_uri: str | None,
) -> dict[str, Any]:
    """Train, and build into the repository unless that is None; what came of both, for JSON."""
    from engines.base import ensure_base
    from engines.finetuning import finetune_on, read_data
    from engines.network import require_trainable, use_threads
    from engines.tracking import tracked

    use_threads(threads)
    require_trainable(asked.recipe)
    dataset = read_data(asked)
    _say(_summary(dataset))
    base = ensure_base(base_folder)
    parameters = asdict(asked.recipe)
    with tracked("finetune", asked.name, parameters, dataset.checksums, tracking_uri) as run:
        card = finetune_on(dataset, asked, base, told=_say)
        _say(_judgement(card))
        _record(run, asked, card)
        result = {"adapter": str(asked.out), "card": card}
        if repository is not None:
            result |= _built(asked, dataset, repository, base)
    return result


def _record(run: Run, asked: FineTuning, card: dict[str, Any]) -> None:
    for epoch in card["history"]:
        figures = {name: value for name, value in epoch.items() if name != "epoch"}
        run.metrics(figures, epoch["epoch"])
    for split, figures in card["figures"].items():
        run.metrics({f"{split}.{name}": value for name, value in figures.items()})
    run.metric("calibration_error", card["calibration"]["error_after"])
    run.artifact(asked.out / "card.json")
    run.register(asked.name, adapter_sha256=card["adapter_sha256"])


def _built(asked: FineTuning, dataset: Dataset, repository: Path, base: Path) -> dict[str, Any]:
    from engines.build_trained import Trained
    from engines.finetune_build import material_of

    description = f"One of {len(dataset.labels)} labels, fine-tuned on {asked.data.resolve().name}."
    trained = Trained(asked.out, asked.name, description)
    return built(trained, lambda: material_of(dataset), repository, base)


def built(
    trained: Trained, material: Callable[[], Material], repository: Path, base: Path
) -> dict[str, Any]:
    """Make the engine of an adapter and say how it fares; what came of it, for JSON."""
    from engines.finetune_build import LEAST_JUDGED, build_finetuned
    from engines.listing import is_served

    engine, folder = build_finetuned(trained, material, repository, base)
    for each in engine.accuracy:
        accuracies = (
            f"{100 * each.accuracy:.1f} %, unquantized {100 * each.reference_accuracy:.1f} %"
        )
        _say(f"the engine's accuracy on {each.data}: {accuracies}")
    if not engine.accuracy:
        _say(f"no split has {LEAST_JUDGED} texts: the gate judged scores, not accuracy")
    if folder.parent == trained.folder or not is_served(engine, repository):
        candidate = folder if folder.parent == trained.folder else folder.name
        _say(
            f"another version of {trained.name} is served; "
            f"`sub50 engines promote {trained.name} {candidate}` serves this one"
        )
    else:
        _say(
            f"`sub50 serve` serves it from its next start on; "
            f"`sub50 classify TEXT --model {trained.name}` asks it"
        )
    return {"engine": engine.model_dump(mode="json"), "version": str(folder)}


def _asked(
    name: str, data: Path, reading: dict[str, Any], recipe: Recipe, out: Path | None
) -> FineTuning:
    with needing("fine-tuning", "PyTorch, transformers and peft"):
        from engines.finetuning import FineTuning, Reading
    names = tuple(label.strip() for label in (reading["labels"] or "").split(",") if label.strip())
    reading = {**reading, "labels": names}
    target = out or RUNS / "adapters" / name
    return FineTuning(name, data, Reading(**reading), recipe, target, RUNS / "finetune" / name)


def _recipe(
    method: str, epochs: int, max_tokens: int, learning_rate: float | None, rest: dict[str, Any]
) -> Recipe:
    chosen = next((each for each in METHODS if each == method), None)
    if chosen is None:
        raise EngineError(f"--method {method!r} is not one of {', '.join(METHODS)}")
    rate = LEARNING_RATES[chosen] if learning_rate is None else learning_rate
    if not 0 < rate < 1:
        raise EngineError(f"--learning-rate is {rate:g}; it must be between 0 and 1")
    return Recipe(epochs, max_tokens, learning_rate=rate, method=chosen, **rest)


def _require_name(name: str, force: bool) -> None:
    from engines.catalog import CATALOG

    require_name(name, "the name")
    if name in CATALOG and not force:
        raise EngineError(
            f"{name} is one of the default models; choose another name, or make a candidate to "
            "promote in its place with --force"
        )


def _summary(dataset: Dataset) -> str:
    sizes = f"{len(dataset.train):,} texts to train, {len(dataset.validation):,} to validate"
    tested = f", {len(dataset.test):,} to test" if dataset.test else ""
    notes = "".join(f"\nnote: {note}" for note in dataset.notes)
    return f"{sizes}{tested}; labels: {', '.join(dataset.labels)}{notes}"


def _judgement(card: dict[str, Any]) -> str:
    figures = "; ".join(
        f"{split}: accuracy {100 * each['accuracy']:.1f} %, macro F1 {100 * each['macro_f1']:.1f} %"
        for split, each in card["figures"].items()
    )
    fitted = card["calibration"]
    error = f"{100 * fitted['error_before']:.1f} % to {100 * fitted['error_after']:.1f} %"
    scores = (
        f"no temperature for the scores: {fitted['note']}"
        if fitted["note"]
        else f"temperature {fitted['temperature']:.2f} (calibration error {error})"
    )
    return f"{figures}; epoch {card['kept_epoch']} of {len(card['history'])} kept; {scores}"


def _say(line: str) -> None:
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)

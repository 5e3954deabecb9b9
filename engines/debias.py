"""Evens out a trained adapter between groups of people, and measures what that did.

Needs the `train` extra.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from engines.adapter_files import training_tools, write_adapter
from engines.base import WEIGHTS_FILE
from engines.catalog import CATALOG
from engines.checksums import file_sha256, value_sha256
from engines.data import LabelledText
from engines.debias_trainer import DebiasRecipe, DebiasTrainer
from engines.errors import AdapterError
from engines.fairness import measure_fairness
from engines.merge import ADAPTER_FILE
from engines.trained_on import is_of_a_data_set, read_record, recipe_of, texts_of

# What a card says of how an adapter was made, which goes on being so.
KEPT_FIELDS = ("data", "reading", "texts", "training_texts", "history", "kept_epoch", "notes")


@dataclass(frozen=True)
class Debiasing:
    """What to even out.

    Attributes:
        adapter: the folder of adapter and card.
        data: what it was trained on.
        recipe: how it is evened out.
        out: the folder that the new adapter and its card are written into.
        work: where an interrupted run is kept; several may share it.
    """

    adapter: Path
    data: Path
    recipe: DebiasRecipe
    out: Path
    work: Path


def recipe_for(adapter: Path, **changes: Any) -> DebiasRecipe:
    """The recipe for an adapter, with some values of its own.

    Raises:
        AdapterError: it is none that was trained of the base as a whole, to classify texts.
    """
    card = read_record(adapter)
    spec = None if is_of_a_data_set(card) else CATALOG.get(card["task"])
    if spec is not None and spec.task != "classify":
        raise AdapterError(f"{adapter} chooses sentences; only classifiers of texts are evened out")
    if "layers" in card:
        raise AdapterError(
            f"{adapter} was distilled: even out its teacher, and distill that one again"
        )
    return DebiasRecipe(recipe_of(card).max_tokens, **changes)


def debias(asked: Debiasing, base: Path) -> dict[str, Any]:
    """Even out an adapter and write the new one with its card; returns the card.

    `debiased` in it has the recipe, the adapter it started from, and figures of both: the gap of
    each axis of fairness, whose sentences and words are never trained on, and the accuracy on the
    texts that watched the training.

    Raises:
        EngineError: the adapter or its data are not what their card says, or the checkpoint cannot
            be written.
    """
    card = read_record(asked.adapter)
    train, validation = texts_of(card, asked.data)
    origin = {
        "adapter_sha256": card["adapter_sha256"],
        "recipe": asdict(asked.recipe),
        "base_sha256": file_sha256(base / WEIGHTS_FILE),
        "tools": training_tools(),
    }
    work = asked.work / value_sha256(origin)[:12]
    trained = load_file(asked.adapter / ADAPTER_FILE)
    labels = tuple(card["labels"])
    trainer = DebiasTrainer(base, labels, recipe_of(card), asked.recipe, trained, work)
    # What it answered before is asked before a checkpoint is gone on from.
    before = _figures(trainer, validation)
    history = trainer.even_out([item.text for item in train])
    about = {name: card[name] for name in KEPT_FIELDS if name in card}
    about["debiased"] = {
        "adapter_sha256": card["adapter_sha256"],
        "recipe": asdict(asked.recipe),
        "history": history,
        "before": before,
        "after": _figures(trainer, validation),
    }
    record = write_adapter(trainer, card["task"], about, base, asked.out)
    shutil.rmtree(work, ignore_errors=True)
    return record


def _figures(
    trainer: DebiasTrainer, validation: dict[str, list[LabelledText]]
) -> dict[str, dict[str, float]]:
    fairness = measure_fairness(
        lambda texts: trainer.scores(list(texts)), trainer.labels, "single_label"
    )
    return {
        "gap": {axis.axis: axis.gap for axis in fairness.axes},
        "accuracy": {name: trainer.judge(texts).accuracy for name, texts in validation.items()},
    }

"""Fine-tunes the base on a team's data set: read, train, calibrate, write. One line each.

Needs the `train` extra.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.scores import softmax
from engines.adapter_files import training_tools, write_adapter
from engines.base import WEIGHTS_FILE
from engines.checksums import file_sha256, value_sha256
from engines.data import LabelledText
from engines.dataset import Dataset, read_dataset
from engines.dataset_files import TEST, VALIDATION
from engines.merge import ADAPTER_FILE, CARD_FILE
from engines.recipe import Recipe
from engines.temperature import calibrate, expected_calibration_error
from engines.trainer import Trainer

Told = Callable[[str], None]


@dataclass(frozen=True)
class Reading:
    """How a data set is read; see `read_dataset`."""

    text_column: str = "text"
    label_column: str = "label"
    labels: tuple[str, ...] = ()
    validation_share: float = 0.1


@dataclass(frozen=True)
class FineTuning:
    """What to train.

    Attributes:
        name: what the adapter is to be called.
        data: a file or a folder of labelled texts.
        reading: how it is read.
        recipe: how it is trained.
        out: the folder that adapter and card are written into.
        work: where an interrupted training is kept; several may share it.
    """

    name: str
    data: Path
    reading: Reading
    recipe: Recipe
    out: Path
    work: Path


def read_data(asked: FineTuning) -> Dataset:
    """The data set, split as the recipe's seed says.

    Raises:
        DataError: see `read_dataset`.
    """
    reading = asked.reading
    return read_dataset(
        asked.data,
        validation_share=reading.validation_share,
        seed=asked.recipe.seed,
        text_column=reading.text_column,
        label_column=reading.label_column,
        labels=reading.labels or None,
    )


def finetune_on(
    dataset: Dataset, asked: FineTuning, base: Path, told: Told = lambda what: None
) -> dict[str, Any]:
    """Train on a data set and write adapter and card; returns the card.

    What was interrupted goes on after its last epoch; what is there already, of the same data,
    recipe and tools, is left as it is.

    Raises:
        EngineError: the machine, the data or the base is not what training needs, or the
            checkpoint cannot be written.
    """
    origin = _origin(dataset, asked, base)
    there = _card_of(asked.out, origin)
    if there is not None:
        told(f"{asked.out} has this adapter already")
        return there
    work = asked.work / value_sha256(origin)[:12]
    trainer = Trainer(base, dataset.labels, asked.recipe, work)
    history = trainer.run(dataset.train, {VALIDATION: dataset.validation})
    calibration = calibrate(*_answers(trainer, dataset.validation), asked.recipe.seed)
    trainer.divide_logits(calibration.temperature)
    about = {
        "data": origin["data"],
        "reading": origin["reading"],
        "texts": origin["texts"],
        "history": history,
        "kept_epoch": trainer.best.epoch if trainer.best else trainer.epoch,
        "calibration": calibration.record(),
        "figures": _figures(trainer, dataset),
        "device": str(trainer.device),
        "notes": [*dataset.notes, *_notes(asked.recipe)],
    }
    record = write_adapter(trainer, asked.name, about, base, asked.out)
    shutil.rmtree(work, ignore_errors=True)
    return record


def _origin(dataset: Dataset, asked: FineTuning, base: Path) -> dict[str, Any]:
    """All that decides what training gives, as it stands in a card."""
    return {
        "labels": list(dataset.labels),
        "base_sha256": file_sha256(base / WEIGHTS_FILE),
        "recipe": asdict(asked.recipe),
        "data": {asked.data.resolve().name: dataset.checksums},
        "reading": {**asdict(asked.reading), "labels": list(asked.reading.labels)},
        "texts": {
            "train": len(dataset.train),
            VALIDATION: len(dataset.validation),
            TEST: len(dataset.test),
        },
        "tools": training_tools(),
    }


def _card_of(out: Path, origin: dict[str, Any]) -> dict[str, Any] | None:
    """The card in `out`, if it is of that origin and of the adapter beside it."""
    try:
        card: dict[str, Any] = json.loads((out / CARD_FILE).read_text(encoding="utf-8"))
        whole = card["adapter_sha256"] == file_sha256(out / ADAPTER_FILE)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return card if whole and all(card.get(key) == value for key, value in origin.items()) else None


def _answers(trainer: Trainer, texts: list[LabelledText]) -> tuple[Any, Any]:
    """Logits, float32 (texts, labels), and right labels, int64 (texts,)."""
    labels = np.array([item.label for item in texts], dtype=np.int64)
    return trainer.logits([item.text for item in texts]), labels


def _figures(trainer: Trainer, dataset: Dataset) -> dict[str, dict[str, float]]:
    """What the kept weights get right. Only the test texts decided nothing."""
    judged = trainer.judge(dataset.validation)
    figures = {VALIDATION: {"accuracy": judged.accuracy, "macro_f1": judged.macro_f1}}
    if dataset.test:
        logits, labels = _answers(trainer, dataset.test)
        error = expected_calibration_error(softmax(logits), labels)
        figures[TEST] = {**asdict(trainer.judge(dataset.test)), "calibration_error": error}
    return figures


def _notes(recipe: Recipe) -> list[str]:
    if recipe.method == "full":
        return ["the word embeddings are the base's: training did not change them"]
    return []

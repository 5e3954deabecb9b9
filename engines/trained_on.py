"""How an adapter was trained, and on which texts, by its card. Needs the `train` extra."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.dataset import Dataset
from engines.dataset_files import VALIDATION
from engines.errors import AdapterError, DataError
from engines.finetune import Split, checksums, read_task
from engines.finetune_build import material_of
from engines.finetuning import FineTuning, Reading, read_data
from engines.material import Material, default_material
from engines.merge import ADAPTER_FILE, CARD_FILE, read_adapter_card
from engines.recipe import Recipe
from engines.tasks import TASKS, Task

NEEDED = ("task", "labels", "adapter_sha256", "base_sha256", "recipe", "data", "tools")


def read_record(folder: Path) -> dict[str, Any]:
    """The card of an adapter folder, which must be that of the adapter beside it.

    Raises:
        AdapterError: a file is missing, or the card does not say how to train.
    """
    card = read_adapter_card(folder)
    missing = [key for key in NEEDED if key not in card]
    if missing:
        raise AdapterError(
            f"{folder / CARD_FILE} lacks {', '.join(missing)}: it does not say how to train"
        )
    adapter = folder / ADAPTER_FILE
    if not adapter.is_file():
        raise AdapterError(f"no adapter at {adapter}")
    if file_sha256(adapter) != card["adapter_sha256"]:
        raise AdapterError(
            f"{adapter} is not the file its card describes; there is no record of it"
        )
    return card


def recipe_of(card: Mapping[str, Any]) -> Recipe:
    """How the adapter of a card was trained.

    Raises:
        AdapterError: the card says it in words of another version.
    """
    try:
        return Recipe(**card["recipe"])
    except TypeError as error:
        raise AdapterError(f"the card's recipe cannot be followed: {error}") from error


def is_of_a_data_set(card: Mapping[str, Any]) -> bool:
    """Whether a team's data set taught the adapter, rather than the data of a default task."""
    return "reading" in card


def task_of(card: Mapping[str, Any], data: Path) -> Task:
    """The default task of a card, with the card's recipe rather than today's.

    Raises:
        AdapterError: there is no such task.
        DataError: `data` are not those of the card.
    """
    if card["task"] not in TASKS:
        raise AdapterError(f"the card's task {card['task']!r} is not one of {', '.join(TASKS)}")
    for source, sums in card["data"].items():
        _require_equal(sums, checksums(data / source), data / source)
    values = asdict(recipe_of(card))
    return replace(
        TASKS[card["task"]],
        labels=tuple(card["labels"]),
        epochs=values.pop("epochs"),
        max_tokens=values.pop("max_tokens"),
        changes=values,
    )


def fine_tuning_of(card: Mapping[str, Any], data: Path, out: Path, work: Path) -> FineTuning:
    """What a card of a team's adapter asks for, once more."""
    reading = Reading(**{**card["reading"], "labels": tuple(card["reading"]["labels"])})
    return FineTuning(card["task"], data, reading, recipe_of(card), out, work)


def dataset_of(card: Mapping[str, Any], asked: FineTuning) -> Dataset:
    """The data set of a card.

    Raises:
        DataError: it is not the one that the card names.
    """
    dataset = read_data(asked)
    (sums,) = card["data"].values()
    _require_equal(sums, dataset.checksums, asked.data)
    return dataset


def texts_of(card: Mapping[str, Any], data: Path) -> Split:
    """Training texts, and validation texts by name.

    Raises:
        EngineError: `data` are not those of the card, or the card cannot be followed.
    """
    if not is_of_a_data_set(card):
        return read_task(task_of(card, data), data, recipe_of(card).seed)
    dataset = dataset_of(card, fine_tuning_of(card, data, out=data, work=data))
    return dataset.train, {VALIDATION: dataset.validation}


def material_for(card: Mapping[str, Any], data: Path) -> Material:
    """What makes and judges an engine of the adapter.

    Raises:
        EngineError: as `texts_of`.
    """
    if is_of_a_data_set(card):
        return material_of(dataset_of(card, fine_tuning_of(card, data, out=data, work=data)))
    return default_material(CATALOG[card["task"]], data)


def _require_equal(then: Mapping[str, str], now: Mapping[str, str], where: Path) -> None:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            what = "is missing" if name not in now else "is not the file that it was trained on"
            if name not in then:
                what = "was not there when it was trained"
            raise DataError(f"{where}: {name} {what}; the same data are needed again")

"""Trains an adapter again from its own card, and compares checksums. Needs the `train` extra.

Same data, seed and versions give the same bytes on the same machine; what differs is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engines.adapter_files import training_tools
from engines.base import WEIGHTS_FILE
from engines.checksums import file_sha256
from engines.errors import AdapterError, DataError
from engines.finetune import checksums, finetune
from engines.finetuning import FineTuning, Reading, finetune_on, read_data
from engines.merge import ADAPTER_FILE, CARD_FILE, read_adapter_card
from engines.recipe import Recipe
from engines.tasks import TASKS

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


def reproduce(card: dict[str, Any], data: Path, base: Path, work: Path) -> dict[str, Any]:
    """Train again what `card` records, on the same data, into a folder of `work`.

    An interrupted training goes on after its last epoch.

    Returns:
        `equal`, the checksums `expected` and `found`, `differences` between the versions of tools
        then and now, and the folder of the `adapter`.

    Raises:
        EngineError: data or base are not those of the card, or the card's recipe cannot be read.
    """
    found = file_sha256(base / WEIGHTS_FILE)
    if found != card["base_sha256"]:
        raise AdapterError(
            f"it was trained on the base {card['base_sha256'][:12]}…, {base} holds {found[:12]}…"
        )
    try:
        recipe = Recipe(**card["recipe"])
    except TypeError as error:
        raise AdapterError(f"the card's recipe cannot be followed: {error}") from error
    out = work / f"{card['task']}-{card['adapter_sha256'][:12]}"
    checkpoints = out.with_name(f"{out.name}.work")
    # What an earlier try left must not stand for this one.
    shutil.rmtree(out, ignore_errors=True)
    train = _train_on_data_set if "reading" in card else _train_default
    record = train(card, recipe, data, base, out, checkpoints)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return {
        "equal": record["adapter_sha256"] == card["adapter_sha256"],
        "expected": card["adapter_sha256"],
        "found": record["adapter_sha256"],
        "differences": differences(card["tools"], training_tools()),
        "adapter": str(out),
    }


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Tools whose versions are not the same, a line each."""
    return [
        f"{name}: {then.get(name, 'not recorded')} then, {now.get(name, 'not installed')} now"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _train_default(
    card: dict[str, Any], recipe: Recipe, data: Path, base: Path, out: Path, work: Path
) -> dict[str, Any]:
    """A default task's adapter, with the card's recipe rather than today's."""
    if card["task"] not in TASKS:
        raise AdapterError(f"the card's task {card['task']!r} is not one of {', '.join(TASKS)}")
    for source, sums in card["data"].items():
        _require_equal(sums, checksums(data / source), data / source)
    values = asdict(recipe)
    task = replace(
        TASKS[card["task"]],
        labels=tuple(card["labels"]),
        epochs=values.pop("epochs"),
        max_tokens=values.pop("max_tokens"),
        changes=values,
    )
    return finetune(task, data, base, work, out)


def _train_on_data_set(
    card: dict[str, Any], recipe: Recipe, data: Path, base: Path, out: Path, work: Path
) -> dict[str, Any]:
    reading = Reading(**{**card["reading"], "labels": tuple(card["reading"]["labels"])})
    asked = FineTuning(card["task"], data, reading, recipe, out, work)
    dataset = read_data(asked)
    (sums,) = card["data"].values()
    _require_equal(sums, dataset.checksums, data)
    return finetune_on(dataset, asked, base)


def _require_equal(then: Mapping[str, str], now: Mapping[str, str], where: Path) -> None:
    for name in sorted({*then, *now}):
        if then.get(name) != now.get(name):
            what = "is missing" if name not in now else "is not the file that it was trained on"
            if name not in then:
                what = "was not there when it was trained"
            raise DataError(f"{where}: {name} {what}; the same data are needed to reproduce it")

"""Trains an adapter again from its own card, and compares checksums. Needs the `train` extra.

Same data, seed and versions give the same bytes on the same machine; what differs is named.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engines.adapter_files import training_tools
from engines.base import WEIGHTS_FILE
from engines.checksums import file_sha256
from engines.debias import Debiasing, debias
from engines.debias_trainer import DebiasRecipe
from engines.errors import AdapterError
from engines.finetune import finetune
from engines.finetuning import finetune_on
from engines.trained_on import dataset_of, fine_tuning_of, is_of_a_data_set, recipe_of, task_of


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
    recipe_of(card)
    out = work / f"{card['task']}-{card['adapter_sha256'][:12]}"
    checkpoints = out.with_name(f"{out.name}.work")
    # What an earlier try left must not stand for this one.
    shutil.rmtree(out, ignore_errors=True)
    if "debiased" in card:
        trained = out.with_name(f"{out.name}.before")
        shutil.rmtree(trained, ignore_errors=True)
        _train(card, data, base, trained, checkpoints)
        record = _debias(card, data, base, trained, out, checkpoints)
        shutil.rmtree(trained)
    else:
        record = _train(card, data, base, out, checkpoints)
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


def _train(card: dict[str, Any], data: Path, base: Path, out: Path, work: Path) -> dict[str, Any]:
    if is_of_a_data_set(card):
        asked = fine_tuning_of(card, data, out, work)
        return finetune_on(dataset_of(card, asked), asked, base)
    return finetune(task_of(card, data), data, base, work, out)


def _debias(
    card: dict[str, Any], data: Path, base: Path, trained: Path, out: Path, work: Path
) -> dict[str, Any]:
    recipe = DebiasRecipe(**card["debiased"]["recipe"])
    return debias(Debiasing(trained, data, recipe, out, work), base)

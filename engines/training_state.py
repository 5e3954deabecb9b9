"""The file that an interrupted training goes on from. Needs the `train` extra."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from engines.errors import DataError, EngineError
from engines.recipe import Recipe
from engines.whole_file import whole_file

FILE = "checkpoint.pt"


def save_whole(state: dict[str, Any], folder: Path) -> None:
    """Write a checkpoint in the place of the one before, or not at all.

    Raises:
        EngineError: it cannot be written, most likely because the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    try:
        with whole_file(path) as partial:
            torch.save(state, partial)
    except (OSError, RuntimeError) as error:  # the latter is PyTorch's, for a full disk
        raise EngineError(
            f"cannot write the checkpoint {path}: {error}; is the disk full? What was trained "
            "before this epoch is kept"
        ) from error


def write_state(
    state: dict[str, Any], recipe: Recipe, labels: tuple[str, ...], folder: Path
) -> None:
    """Write the state of a training after an epoch, with what it was trained by.

    Raises:
        EngineError: it cannot be written.
    """
    save_whole({"recipe": json.dumps(asdict(recipe)), "labels": list(labels), **state}, folder)


def read_state(
    recipe: Recipe, labels: tuple[str, ...], folder: Path, device: torch.device
) -> dict[str, Any] | None:
    """The state that `write_state` left in a folder, or None where there is none.

    Raises:
        DataError: it is another recipe's.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    if state["recipe"] != json.dumps(asdict(recipe)) or state["labels"] != list(labels):
        raise DataError(f"{path} was written by another recipe; delete it to start afresh")
    return state

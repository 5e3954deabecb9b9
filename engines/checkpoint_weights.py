"""The weights of a checkpoint: which files they are in, and whether those are whole.

Nothing is unpickled, and no weight is read: a safetensors header has the names and shapes, and
says how long its file must be.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from engines.errors import CheckpointError

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
HEAD_WEIGHTS = ("classifier.weight", "classifier.out_proj.weight")
# An ONNX file is one message of Protocol Buffers, which end at 2 GiB.
MOST_WEIGHT_BYTES = 2_000_000_000


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a checkpoint.

    Raises:
        CheckpointError: one is missing, or there are only pickles.
    """
    index = folder / INDEX_FILE
    if (folder / WEIGHTS_FILE).is_file():
        return [folder / WEIGHTS_FILE]
    if index.is_file():
        weight_map = json_object(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(f"{index}: field weight_map must list the file of each weight")
        names = sorted({str(name) for name in weight_map.values()})
        for name in names:
            if Path(name).name != name or not (folder / name).is_file():
                raise CheckpointError(
                    f"{index} names {name!r}, which is not in {folder}; copy the whole checkpoint"
                )
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    found = f"; {', '.join(pickles)} may run any code when read" if pickles else ""
    raise CheckpointError(
        f"no {WEIGHTS_FILE} in {folder}{found}. Pickled weights are never read here: where you "
        "trust them, load the model with transformers and save it with save_pretrained, which "
        "writes safetensors"
    )


def header(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a safetensors file, by name.

    Raises:
        CheckpointError: the file is corrupt, or not as long as its header says.
    """
    try:
        with safe_open(path, framework="numpy") as tensors:
            names = tensors.keys()
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in names}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is corrupt or cut short ({error}); copy or download it again"
        ) from error


def require_size(shapes: dict[str, tuple[int, ...]], folder: Path) -> None:
    """Raise CheckpointError if the weights are too many for one ONNX file."""
    sizes = (4 * prod(shape) for shape in shapes.values())
    if (total := sum(sizes)) > MOST_WEIGHT_BYTES:
        raise CheckpointError(
            f"the weights in {folder} are {total / 1e9:.1f} GB in FP32; at most "
            f"{MOST_WEIGHT_BYTES / 1e9:.0f} GB fit an ONNX file: distil it to a smaller model"
        )


def head_outputs(shapes: dict[str, tuple[int, ...]], folder: Path) -> int:
    """How many numbers the classification head gives.

    Raises:
        CheckpointError: there is no such head.
    """
    heads = [shapes[name] for name in HEAD_WEIGHTS if len(shapes.get(name, ())) == 2]
    if not heads:
        raise CheckpointError(
            f"the weights in {folder} have no classification head ({' or '.join(HEAD_WEIGHTS)}); "
            "was the model saved before it was fine-tuned?"
        )
    return heads[0][0]


def json_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        CheckpointError: it is not JSON, or no object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}; copy or download it again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return value

"""Reads a trained adapter and merges it into the base with NumPy.

Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685): W' = W + (alpha / rank) B A.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from engines.checksums import file_sha256
from engines.errors import AdapterError

ADAPTERS = Path(__file__).resolve().parent / "adapters"
ADAPTER_FILE = "adapter.safetensors"
CARD_FILE = "card.json"
PREFIX = "base_model.model."
# All metadata is JSON under one key: safetensors writes several in an order that changes from
# run to run, and with it the file's checksum.
METADATA_KEY = "sub50"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Adapter:
    """A low-rank update of the base and a head.

    `tensors` are float32 by peft's names; `head_weight` (labels, hidden); `head_bias` (labels,).
    """

    tensors: Mapping[str, Array]
    head_weight: Array
    head_bias: Array
    scale: float
    sha256: str
    card: dict[str, Any]


def read_adapter(folder: Path, base_sha256: str, labels: tuple[str, ...]) -> Adapter:
    """Read `adapter.safetensors` and `card.json` of a folder, verified.

    Raises:
        AdapterError: a file is missing, its bytes are not those the card records, or it was
            trained for another base or other labels; names the file.
    """
    path = folder / ADAPTER_FILE
    card = _read_card(folder)
    if not path.is_file():
        raise AdapterError(f"no adapter at {path}; train it with engines/finetune.py")
    found = file_sha256(path)
    if found != card.get("adapter_sha256"):
        raise AdapterError(
            f"{path} is not the file its card describes: SHA-256 {found}, expected "
            f"{card.get('adapter_sha256')}; restore both from git or train anew"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {name: file.get_tensor(name).astype(np.float32) for name in file.keys()}  # noqa: SIM118
        scale = float(metadata["alpha"]) / float(metadata["rank"])
        trained_on, trained_labels = metadata["base_sha256"], tuple(metadata["labels"])
        head_weight, head_bias = tensors.pop("head.weight"), tensors.pop("head.bias")
    except (SafetensorError, KeyError, ValueError) as error:
        raise AdapterError(f"{path} is not an adapter: {error!r}; train it anew") from error
    if trained_on != base_sha256:
        raise AdapterError(f"{path} was trained on another base: {trained_on}, not {base_sha256}")
    if trained_labels != labels:
        raise AdapterError(f"{path} tells apart {trained_labels}, but the model says {labels}")
    return Adapter(tensors, head_weight, head_bias, scale, found, card)


def merge(weights: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
    """New weights with the adapter added; those of the base are left as they are.

    Raises:
        AdapterError: the adapter has a matrix that the base lacks or that does not fit.
    """
    merged = dict(weights)
    for down_name in sorted(adapter.tensors):
        if not down_name.endswith(".lora_A.weight"):
            continue
        target = down_name.removeprefix(PREFIX).removesuffix(".lora_A.weight") + ".weight"
        down = adapter.tensors[down_name]
        up = adapter.tensors.get(down_name.replace(".lora_A.", ".lora_B."))
        if target not in weights or up is None:
            raise AdapterError(f"the adapter's {down_name} has no counterpart; train it anew")
        if (up.shape[0], down.shape[1]) != weights[target].shape or up.shape[1] != down.shape[0]:
            raise AdapterError(
                f"the adapter's {down_name} does not fit the base's {target}: "
                f"{up.shape} times {down.shape} for {weights[target].shape}"
            )
        merged[target] = weights[target] + np.float32(adapter.scale) * (up @ down)
    return merged


def _read_card(folder: Path) -> dict[str, Any]:
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterError(f"no card at {path}; an adapter is committed with its card") from error
    except ValueError as error:
        raise AdapterError(f"{path} is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise AdapterError(f"{path} is not a JSON object")
    return card

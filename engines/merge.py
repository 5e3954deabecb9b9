"""Reads what was trained of the base and puts it in with NumPy.

It is a low-rank update of all layers, or whole weights of the first few layers or all, in place of
the base's: metadata `kind` is then "weights" and `layers` says how many the encoder keeps.
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
WEIGHTS = "weights"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Adapter:
    """What was trained of the base, and a head.

    `tensors` are float32: a low-rank update by peft's names, or, where `layers` says how many
    layers the encoder keeps, weights by the base's names. `head_weight` (labels, hidden);
    `head_bias` (labels,).
    """

    tensors: Mapping[str, Array]
    head_weight: Array
    head_bias: Array
    scale: float
    sha256: str
    card: dict[str, Any]
    layers: int | None = None


def read_adapter(folder: Path, base_sha256: str, labels: tuple[str, ...]) -> Adapter:
    """Read `adapter.safetensors` and `card.json` of a folder, verified.

    Raises:
        AdapterError: a file is missing, its bytes are not those the card records, or it was
            trained for another base or other labels; names the file.
    """
    path = folder / ADAPTER_FILE
    card = read_adapter_card(folder)
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
        layers = int(metadata["layers"]) if metadata.get("kind") == WEIGHTS else None
        scale = 1.0 if layers else float(metadata["alpha"]) / float(metadata["rank"])
        trained_on, trained_labels = metadata["base_sha256"], tuple(metadata["labels"])
        head_weight, head_bias = tensors.pop("head.weight"), tensors.pop("head.bias")
    except (SafetensorError, KeyError, ValueError) as error:
        raise AdapterError(f"{path} is not an adapter: {error!r}; train it anew") from error
    if trained_on != base_sha256:
        raise AdapterError(f"{path} was trained on another base: {trained_on}, not {base_sha256}")
    if trained_labels != labels:
        raise AdapterError(f"{path} tells apart {trained_labels}, but the model says {labels}")
    return Adapter(tensors, head_weight, head_bias, scale, found, card, layers)


def read_adapter_card(folder: Path) -> dict[str, Any]:
    """The card of an adapter folder.

    Raises:
        AdapterError: there is none, or it is not a JSON object.
    """
    path = folder / CARD_FILE
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise AdapterError(
            f"no card at {path}; an adapter's folder holds {ADAPTER_FILE} and {CARD_FILE}"
        ) from error
    except ValueError as error:
        raise AdapterError(f"{path} is not JSON: {error}") from error
    if not isinstance(card, dict):
        raise AdapterError(f"{path} is not a JSON object")
    return card


def trained_labels(folder: Path) -> tuple[str, ...]:
    """The labels that the card of an adapter folder names.

    Raises:
        AdapterError: there is no card, or it names none.
    """
    labels = read_adapter_card(folder).get("labels")
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        raise AdapterError(f"{folder / CARD_FILE}: field 'labels' must be a list of names")
    return tuple(labels)


def merge(weights: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
    """New weights with what was trained; those of the base are left as they are.

    Raises:
        AdapterError: the adapter has a matrix that the base lacks or that does not fit.
    """
    return _replace(weights, adapter) if adapter.layers else _add(weights, adapter)


def _replace(weights: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
    for name, tensor in adapter.tensors.items():
        if name not in weights or tensor.shape != weights[name].shape:
            there = weights[name].shape if name in weights else "none"
            raise AdapterError(
                f"the trained {name} {tensor.shape} does not fit the base's, {there}; train it anew"
            )
    return {**weights, **adapter.tensors}


def _add(weights: Mapping[str, Array], adapter: Adapter) -> dict[str, Array]:
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

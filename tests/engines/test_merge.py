from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from engines.checksums import file_sha256
from engines.errors import AdapterError
from engines.merge import ADAPTER_FILE, CARD_FILE, METADATA_KEY, merge, read_adapter
from tests.engines.tiny_encoder import HIDDEN, WIDE, tiny_head, tiny_weights

BASE_SHA256 = "b" * 64
LABELS = ("bad", "fine", "good")
TARGET = "encoder.layer.1.intermediate.dense"
RANK = 4


def write_adapter(folder: Path, **changes: object) -> Path:
    """An adapter of one matrix with its card; `changes` go into its metadata or tensors."""
    random = np.random.default_rng(3)
    head_weight, head_bias = tiny_head()
    tensors: dict[str, NDArray[Any]] = {
        f"base_model.model.{TARGET}.lora_A.weight": random.normal(0, 0.1, (RANK, HIDDEN)),
        f"base_model.model.{TARGET}.lora_B.weight": random.normal(0, 0.1, (WIDE, RANK)),
        "head.weight": head_weight,
        "head.bias": head_bias,
    }
    metadata: dict[str, object] = {"alpha": 8, "rank": RANK, "base_sha256": BASE_SHA256}
    metadata["labels"] = LABELS
    metadata |= {key: str(value) for key, value in changes.items() if key in metadata}
    tensors |= {key: value for key, value in changes.items() if isinstance(value, np.ndarray)}
    for key in [key for key, value in changes.items() if value is None]:
        tensors.pop(key, None)
        metadata.pop(key, None)
    half = {name: value.astype(np.float16) for name, value in tensors.items()}
    save_file(half, folder / ADAPTER_FILE, metadata={METADATA_KEY: json.dumps(metadata)})
    write_card(folder)
    return folder


def write_card(folder: Path) -> None:
    card = {"adapter_sha256": file_sha256(folder / ADAPTER_FILE), "seed": 50}
    (folder / CARD_FILE).write_text(json.dumps(card))


def test_merging_adds_the_scaled_product_to_its_matrix_alone(tmp_path: Path) -> None:
    weights = tiny_weights()
    adapter = read_adapter(write_adapter(tmp_path), BASE_SHA256, LABELS)
    merged = merge(weights, adapter)
    down = adapter.tensors[f"base_model.model.{TARGET}.lora_A.weight"]
    up = adapter.tensors[f"base_model.model.{TARGET}.lora_B.weight"]
    expected = tiny_weights()
    expected[f"{TARGET}.weight"] = expected[f"{TARGET}.weight"] + 8 / RANK * up @ down
    for name, value in expected.items():
        np.testing.assert_allclose(merged[name], value, atol=1e-6)
        np.testing.assert_array_equal(weights[name], tiny_weights()[name])
        assert merged[name].dtype == np.float32
    assert adapter.head_weight.shape == (3, HIDDEN)
    assert adapter.card["seed"] == 50


def test_one_changed_byte_is_refused_by_name(tmp_path: Path) -> None:
    path = write_adapter(tmp_path) / ADAPTER_FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(AdapterError, match=f"{path} is not the file its card describes"):
        read_adapter(tmp_path, BASE_SHA256, LABELS)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="another base"):
        read_adapter(write_adapter(tmp_path), "c" * 64, LABELS)


def test_an_adapter_for_other_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="tells apart"):
        read_adapter(write_adapter(tmp_path), BASE_SHA256, ("fine", "bad", "good"))


@pytest.mark.parametrize("missing", ["alpha", "rank", "labels", "base_sha256", "head.bias"])
def test_what_an_adapter_lacks_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(AdapterError, match=missing):
        read_adapter(write_adapter(tmp_path, **{missing: None}), BASE_SHA256, LABELS)


def test_a_file_that_is_no_adapter_is_refused(tmp_path: Path) -> None:
    (tmp_path / ADAPTER_FILE).write_bytes(b"not a safetensors file")
    write_card(tmp_path)
    with pytest.raises(AdapterError, match="is not an adapter"):
        read_adapter(tmp_path, BASE_SHA256, LABELS)


@pytest.mark.parametrize("file", [ADAPTER_FILE, CARD_FILE])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    (write_adapter(tmp_path) / file).unlink()
    with pytest.raises(AdapterError, match=file):
        read_adapter(tmp_path, BASE_SHA256, LABELS)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_malformed_card_is_named(tmp_path: Path, text: str) -> None:
    (write_adapter(tmp_path) / CARD_FILE).write_text(text)
    with pytest.raises(AdapterError, match=r"card\.json is not"):
        read_adapter(tmp_path, BASE_SHA256, LABELS)


def test_a_matrix_that_does_not_fit_is_named(tmp_path: Path) -> None:
    name = f"base_model.model.{TARGET}.lora_B.weight"
    write_adapter(tmp_path, **{name: np.zeros((WIDE + 1, RANK))})
    adapter = read_adapter(tmp_path, BASE_SHA256, LABELS)
    with pytest.raises(AdapterError, match="does not fit"):
        merge(tiny_weights(), adapter)


def test_a_matrix_that_the_base_lacks_is_named(tmp_path: Path) -> None:
    name = "base_model.model.encoder.layer.9.output.dense.lora_A.weight"
    write_adapter(tmp_path, **{name: np.zeros((RANK, HIDDEN))})
    adapter = read_adapter(tmp_path, BASE_SHA256, LABELS)
    with pytest.raises(AdapterError, match=r"layer\.9"):
        merge(tiny_weights(), adapter)


def test_whole_weights_take_the_place_of_the_bases(tmp_path: Path) -> None:
    weights = tiny_weights()
    name = f"{TARGET}.weight"
    path = write_adapter(tmp_path) / ADAPTER_FILE
    head_weight, head_bias = tiny_head()
    tensors = {name: weights[name] * 2, "head.weight": head_weight, "head.bias": head_bias}
    metadata = {"kind": "weights", "layers": 2, "labels": LABELS, "base_sha256": BASE_SHA256}
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(metadata)})
    write_card(tmp_path)
    adapter = read_adapter(tmp_path, BASE_SHA256, LABELS)
    assert adapter.layers == 2
    merged = merge(weights, adapter)
    np.testing.assert_array_equal(merged.pop(name), weights.pop(name) * 2)
    assert all(merged[each] is weights[each] for each in weights)

    wrong = {"encoder.layer.9.output.dense.weight": head_weight}
    save_file({**tensors, **wrong}, path, metadata={METADATA_KEY: json.dumps(metadata)})
    write_card(tmp_path)
    with pytest.raises(AdapterError, match=r"encoder\.layer\.9\.output"):
        merge(tiny_weights(), read_adapter(tmp_path, BASE_SHA256, LABELS))

"""A classifier whose logits are sums of word weights, so that its answers can be worked out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from core.card import write_card
from engines.checksums import file_sha256
from tests.tiny import card, write_tokenizer

# Speed is measured with tokens below 200, whatever the vocabulary.
ROWS = 256
LABELS = ("negative", "positive")


def write_word_engine(
    folder: Path,
    weights: Mapping[str, Sequence[float]],
    bias: Sequence[float] = (0.0, 0.0),
    **changes: Any,
) -> Path:
    """A version folder of a classifier; `weights` are logits that each word adds, by label.

    Words are those of tests/tiny.py. `changes` go to the card. Returns the folder.
    """
    folder.mkdir(parents=True)
    write_tokenizer(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    table = np.zeros((ROWS, len(bias)), dtype=np.float32)
    for word, row in weights.items():
        table[tokenizer.token_to_id(word)] = row
    onnx.save(_graph(table, np.array(bias, dtype=np.float32)), folder / "model.onnx")
    fields = {
        "labels": list(LABELS),
        "version": folder.name,
        "engine_sha256": file_sha256(folder / "model.onnx"),
        "tokenizer_sha256": file_sha256(folder / "tokenizer.json"),
    }
    write_card(card(folder.parent.name, **(fields | changes)), folder)
    return folder


def _graph(table: np.ndarray[Any, Any], bias: np.ndarray[Any, Any]) -> onnx.ModelProto:
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", "tokens"]) for n in names
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", len(bias)])
    initializers = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(bias, "bias"),
        helper.make_tensor("last", TensorProto.INT64, [1], [2]),
        helper.make_tensor("middle", TensorProto.INT64, [1], [1]),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["real", "last"], ["mask"]),
        helper.make_node("Mul", ["words", "mask"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "bias"], ["logits"]),
    ]
    graph = helper.make_graph(nodes, "words", inputs, [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model

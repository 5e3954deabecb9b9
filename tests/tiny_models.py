"""Model repositories with engines so small that their answers can be worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from core.card import Tuning, write_card
from core.checksums import file_sha256
from tests.tiny import card, write_tokenizer

CONFIG = """
name: "{name}"
backend: "onnxruntime"
max_batch_size: 32
input [
  {{ name: "input_ids" data_type: TYPE_INT64 dims: [ -1 ] }},
  {{ name: "attention_mask" data_type: TYPE_INT64 dims: [ -1 ] }},
  {{ name: "token_type_ids" data_type: TYPE_INT64 dims: [ -1 ] }}
]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ 2 ] }} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
dynamic_batching {{ {batching} }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


def tiny_engine(rounds: int = 0) -> onnx.ModelProto:
    """Input ids, mask and types to `logits` [rows, 2]: sum of the unmasked ids, and their number.

    `rounds` only makes it slower. An id of 1000 or more fails the run, so that one bad request
    among good ones can be tried.
    """
    names = ("input_ids", "attention_mask", "token_type_ids")
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["rows", "tokens"]) for n in names
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["rows", 2])
    initializers = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("table", TensorProto.INT64, [1000], list(range(1000))),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("square", TensorProto.FLOAT, [512, 512], np.zeros(512 * 512)),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["ids"]),
        helper.make_node("Mul", ["ids", "attention_mask"], ["kept"]),
        helper.make_node("Mul", ["kept", "attention_mask"], ["kept_once"]),
        helper.make_node("Mul", ["token_type_ids", "attention_mask"], ["types"]),
        helper.make_node("Add", ["kept_once", "types"], ["all"]),
        helper.make_node("ReduceSum", ["all", "axis"], ["sum"]),
        helper.make_node("ReduceSum", ["attention_mask", "axis"], ["count"]),
        helper.make_node("Concat", ["sum", "count"], ["both"], axis=1),
        helper.make_node("Cast", ["both"], ["fast" if rounds else "logits"], to=TensorProto.FLOAT),
    ]
    if rounds:
        nodes += slowing_nodes(rounds)
    graph = helper.make_graph(nodes, "tiny", inputs, [output], initializers)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model


def slowing_nodes(rounds: int) -> list[onnx.NodeProto]:
    """Matrix products whose result, zero, is added to the answer; they depend on the input."""
    nodes = [
        helper.make_node("ReduceSum", ["fast"], ["scalar"], keepdims=0),
        helper.make_node("Mul", ["scalar", "zero"], ["nothing"]),
        helper.make_node("Add", ["square", "nothing"], ["product0"]),
    ]
    for index in range(rounds):
        source, target = f"product{index}", f"product{index + 1}"
        nodes.append(helper.make_node("MatMul", [source, source], [target]))
    last = f"product{rounds}"
    nodes.append(helper.make_node("ReduceSum", [last], ["nil"], keepdims=0))
    nodes.append(helper.make_node("Add", ["fast", "nil"], ["logits"]))
    return nodes


def write_tiny_model(
    repository: Path,
    name: str = "tiny",
    *,
    rounds: int = 0,
    batching: str = "",
) -> Path:
    """A model in `repository` that Triton can serve; returns its folder."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    config = CONFIG.format(name=name, batching=batching)
    (folder / "config.pbtxt").write_text(config)
    onnx.save(tiny_engine(rounds), folder / "1" / "model.onnx")
    write_own_card(folder / "1")
    return folder


def write_own_card(version: Path, served: str | None = None) -> None:
    """Tokenizer and card of a version folder, with the checksums of what lies there now.

    `served` is the file of an engine that a tuning laid beside the first one.
    """
    write_tokenizer(version / "tokenizer.json")
    sums = {
        "engine_sha256": file_sha256(version / "model.onnx"),
        "tokenizer_sha256": file_sha256(version / "tokenizer.json"),
    }
    tuning = tuned(served, file_sha256(version / served)) if served else None
    changes = {"version": version.name, "tuning": tuning, **sums}
    write_card(card(version.parent.name, **changes), version)


def tuned(engine_file: str, sha256: str) -> Tuning:
    """What a card says of a tuning that serves that file."""
    return Tuning(
        backend="onnxruntime",
        precision="FP32",
        threads=1,
        instances=1,
        engine_file=engine_file,
        engine_sha256=sha256,
        line_overhead_ms=1.0,
        line_ms_per_token=0.1,
        machine="none",
        tuned_at="2026-01-01T00:00:00Z",
    )

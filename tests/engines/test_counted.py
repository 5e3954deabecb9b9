"""Places in a table are worked out as exactly in a graph of FP16 as before."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.counted import counted
from engines.half_precision import in_half
from engines.measure import open_session

STEPS = 60


def constant(name: str, *values: float) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.float32), name)


def graph() -> onnx.ModelProto:
    """Distances, int64 (n,), to what a table holds at the place that their logarithm says, and to
    that logarithm times a constant of it."""
    nodes = [
        helper.make_node("Cast", ["distance"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Log", ["float"], ["log"]),
        helper.make_node("Mul", ["log", "steps"], ["place"]),
        helper.make_node("Cast", ["place"], ["row"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "row"], ["found"]),
        helper.make_node("Mul", ["found", "steps"], ["answer"]),
    ]
    made = helper.make_graph(
        nodes,
        "places",
        [helper.make_tensor_value_info("distance", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n"])],
        [constant("steps", STEPS), constant("table", *np.arange(8 * STEPS) / STEPS)],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def answers(model: onnx.ModelProto) -> np.ndarray:
    distances = np.arange(1, 512, dtype=np.int64)
    found: np.ndarray = open_session(model, threads=1).run(None, {"distance": distances})[0]
    return found


def test_the_same_rows_are_read_as_in_fp32() -> None:
    places = np.log(np.arange(1, 512, dtype=np.float16)) * np.float16(STEPS)
    exact = np.log(np.arange(1, 512, dtype=np.float32)) * np.float32(STEPS)
    assert (places.astype(int) != exact.astype(int)).sum() > 20, (
        "FP16 would do: this proves nothing"
    )
    rows = np.round(answers(in_half(graph())).astype(np.float64))
    np.testing.assert_array_equal(rows, np.round(answers(graph())))


def test_what_is_looked_up_is_fp16_and_a_constant_that_both_use_is_there_twice() -> None:
    half = in_half(graph())
    types = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert types == {
        "steps": TensorProto.FLOAT16,
        "table": TensorProto.FLOAT16,
        "steps.single": TensorProto.FLOAT,
    }


def test_only_what_is_rounded_and_nothing_else_is_counted() -> None:
    model = graph()
    assert counted(model.graph) == {"float", "log", "place"}
    # Seen by another, it is a number like any other.
    model.graph.node.append(helper.make_node("Neg", ["log"], ["seen"]))
    model.graph.output.append(helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["n"]))
    assert counted(model.graph) == set()

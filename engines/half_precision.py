"""A graph in FP16: numbers, weights and all between, for runtimes that take types as written."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.counted import counted
from engines.errors import EngineError

LARGEST = float(np.finfo(np.float16).max)
# Below, a number that keeps a division from zero would be zero itself.
SMALLEST = 6e-8


def in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with FP16 wherever it had FP32, but for its outputs, which stay FP32.

    What is larger than FP16 can hold becomes its largest number, what is smaller and not zero its
    smallest: exporters write masks as the largest number of FP32. What is rounded to whole numbers,
    and used for nothing else, stays FP32.

    Raises:
        EngineError: an operator has no FP16; says which.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    del half.graph.value_info[:]
    whole = counted(half.graph)
    _keep_constants(half.graph, whole)
    outputs = {value.name for value in half.graph.output}
    for node in half.graph.node:
        if node.output[0] in whole:
            continue
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _convert(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to":
                is_float = attribute.i == TensorProto.FLOAT
                attribute.i = TensorProto.FLOAT16 if is_float else attribute.i
        if node.op_type == "ConstantOfShape" and not node.attribute:
            zero = numpy_helper.from_array(np.zeros(1, dtype=np.float16))
            node.attribute.append(helper.make_attribute("value", zero))
    _cast_outputs(half, outputs)
    try:
        onnx.checker.check_model(half, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(
            f"the graph has no FP16 form: {' '.join(str(error).split())[:500]}. Build it with "
            "another precision, or export the model with operators that have FP16"
        ) from error
    return half


def _keep_constants(graph: onnx.GraphProto, whole: set[str]) -> None:
    """Convert the constants, but for a copy of each for the nodes that stay FP32."""
    floats = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    kept: dict[str, onnx.TensorProto] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            if node.output[0] in whole and name in floats:
                if name not in kept:
                    kept[name] = onnx.TensorProto()
                    kept[name].CopyFrom(floats[name])
                    kept[name].name = f"{name}.single"
                node.input[index] = f"{name}.single"
    used = {name for node in graph.node for name in node.input}
    for tensor in floats.values():
        _convert(tensor)
    left = [
        tensor for tensor in graph.initializer if tensor.name in used or tensor.name not in kept
    ]
    del graph.initializer[:]
    graph.initializer.extend([*left, *kept.values()])


def _convert(tensor: onnx.TensorProto) -> None:
    if tensor.data_type != TensorProto.FLOAT:
        return
    whole = numpy_helper.to_array(tensor)
    bounded = np.clip(whole, -LARGEST, LARGEST)
    tiny = (whole != 0) & (np.abs(whole) < SMALLEST)
    bounded = np.where(tiny, np.copysign(np.float32(SMALLEST), whole), bounded)
    tensor.CopyFrom(numpy_helper.from_array(bounded.astype(np.float16), tensor.name))


def _cast_outputs(model: onnx.ModelProto, outputs: set[str]) -> None:
    """Give the outputs as FP32, under their names."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name in outputs:
                    names[index] = f"{name}.half"
    for name in sorted(outputs):
        cast = helper.make_node(
            "Cast", [f"{name}.half"], [name], name=f"{name}.single", to=TensorProto.FLOAT
        )
        model.graph.node.append(cast)

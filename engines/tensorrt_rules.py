"""What TensorRT asks of a graph, checked here, where there is no TensorRT, and named by the node.

The rules are those of its documentation, "Explicit Quantization"
(https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-explicit-quantization.html),
and of its ONNX parser (https://github.com/onnx/onnx-tensorrt, `QuantDequantLinearHelper`): signed
INT8 with a zero point of 0, scales that are constant and above zero, one for a tensor, or one for
each output channel of a weight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from engines.errors import PlanError

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
# Operators of ONNX that its parser does not read.
UNREAD = {
    "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "QLinearMatMul", "QLinearConv",
}  # fmt: skip
# Their results have as many elements as the data says, so that no CUDA graph can hold them.
DATA_DECIDES = {"NonZero", "Unique", "Compress", "NonMaxSuppression"}
WHOLE_NUMBERS = (TensorProto.INT8, TensorProto.UINT8)
MOST_NAMED = 5


def check_tensorrt_rules(model: onnx.ModelProto) -> None:
    """Raise PlanError, naming the nodes, unless TensorRT can read a graph as it is meant."""
    broken = list(broken_rules(model))
    if broken:
        more = f"; and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
        raise PlanError(
            f"TensorRT cannot take this graph: {'; '.join(broken[:MOST_NAMED])}{more}. `sub50 "
            "engines build --runtime tensorrt` writes graphs that it can"
        )


def broken_rules(model: onnx.ModelProto) -> Iterator[str]:
    """Which node breaks which rule, a line each, in the graph's order."""
    graph = _Graph(model)
    for node in model.graph.node:
        yield from (f"node {_name(node)}: {fault}" for fault in graph.faults(node))


class _Graph:
    """A model's nodes and constants, by what they give and who takes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producers = {name: node for node in model.graph.node for name in node.output}
        self._takers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._takers[name].append(node)

    def faults(self, node: onnx.NodeProto) -> Iterator[str]:
        """What is wrong with one node."""
        if node.domain not in ("", "ai.onnx"):
            yield f"{node.domain}.{node.op_type} is no operator of ONNX"
        elif node.op_type in UNREAD:
            yield f"TensorRT has no {node.op_type}; quantize with {QUANTIZE} and constant scales"
        elif node.op_type in DATA_DECIDES:
            yield f"the shape that {node.op_type} gives depends on the data"
        elif node.op_type in (QUANTIZE, DEQUANTIZE):
            yield from self._of_zero_point(node)
            yield from self._of_scale(node)
            if node.op_type == QUANTIZE:
                yield from self._of_takers(node)
        else:
            yield from self._of_inputs(node)

    def _of_zero_point(self, node: onnx.NodeProto) -> Iterator[str]:
        if len(node.input) < 3 or not node.input[2]:
            if node.op_type == QUANTIZE:
                yield "it has no zero point, and so gives UINT8"
            return
        zero = self._constants.get(node.input[2])
        if zero is None:
            yield f"its zero point {node.input[2]} is not constant"
        elif zero.data_type != TensorProto.INT8:
            kind = TensorProto.DataType.Name(zero.data_type)
            yield f"its zero point is {kind}; only signed INT8 is multiplied on a GPU"
        elif numpy_helper.to_array(zero).any():
            yield f"its zero point is {numpy_helper.to_array(zero).ravel()[0]}, not 0"

    def _of_scale(self, node: onnx.NodeProto) -> Iterator[str]:
        tensor = self._constants.get(node.input[1])
        if tensor is None:
            yield f"its scale {node.input[1]} is not constant"
            return
        scale = numpy_helper.to_array(tensor)
        if not (np.isfinite(scale) & (scale > 0)).all():
            yield "a scale of it is not above zero"
        if scale.size == 1:
            return
        weight = self._constants.get(node.input[0])
        if weight is None:
            yield "it has a scale per channel, which only a weight may have"
        elif scale.ndim != 1:
            yield f"its scales have {scale.ndim} dimensions, not one"
        else:
            yield from self._of_axis(node, list(weight.dims), len(scale))

    def _of_axis(self, node: onnx.NodeProto, dims: list[int], scales: int) -> Iterator[str]:
        axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
        axis += len(dims) if axis < 0 else 0
        if not 0 <= axis < len(dims) or dims[axis] != scales:
            yield f"it has {scales} scales on axis {axis} of a weight of the shape {dims}"
        elif axis != len(dims) - 1 and any(
            taker.op_type == "MatMul" for taker in self._takers[node.output[0]]
        ):
            yield f"its scales are on axis {axis}, not on that of the output channels"

    def _of_takers(self, node: onnx.NodeProto) -> Iterator[str]:
        for taker in self._takers[node.output[0]]:
            if taker.op_type != DEQUANTIZE:
                yield f"{_name(taker)} takes what it gives, and only {DEQUANTIZE} may"

    def _of_inputs(self, node: onnx.NodeProto) -> Iterator[str]:
        for name in node.input:
            constant = self._constants.get(name)
            if constant is not None and constant.data_type in WHOLE_NUMBERS:
                yield f"it takes the 8-bit constant {name}, which only {DEQUANTIZE} may"
        if node.op_type == "MatMul":
            sides = [self._is_dequantized(name) for name in node.input]
            if sides == [False, True]:
                yield "its weight is INT8 and the other side is not, so that FP16 is multiplied"

    def _is_dequantized(self, name: str) -> bool:
        producer = self._producers.get(name)
        return producer is not None and producer.op_type == DEQUANTIZE


def _name(node: onnx.NodeProto) -> str:
    return str(node.name or node.output[0])

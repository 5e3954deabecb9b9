"""Layer norms with the addition before them, and GELU with its bias, as one operator each.

These are `com.microsoft.SkipLayerNormalization` and `com.microsoft.BiasGelu`. ONNX Runtime's tools
in Python write them too (`onnxruntime.transformers.optimizer`), but take GELU's approximation by
tanh for GELU itself, do not look at shapes without SymPy, and end with an error over ModernBERT.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

from engines.attention_operator import CONTRIBUTED, rewritten
from engines.linear_layers import Graph, Part
from engines.seen_shapes import seen_shapes

NORM, GELU = "SkipLayerNormalization", "BiasGelu"
LAST = (None, -1, 2)
SPELLED_OUT = (None, b"none")


def with_fused_layers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph, in FP32, with additions before layer norms and biases before GELU within them."""
    graph = Graph(model)
    added = [each for node in model.graph.node for each in _added(graph, node)]
    shapes = seen_shapes(model, (name for add, _ in added for name in add.input))
    replaced: dict[str, onnx.NodeProto] = {}
    gone: set[str] = set()
    for add, norm in added:
        left, right = (shapes[name] for name in add.input)
        if left == right and len(left) == 3 and add.output[0] not in replaced:
            # At the addition's place: its sum may be asked for before the norm.
            replaced[add.output[0]] = _norm(graph, add, norm)
            gone.add(norm.output[0])
    for node in model.graph.node:
        if node.op_type == "Gelu" and (fused := _gelu(graph, node)) is not None:
            replaced[node.output[0]] = fused
    if not replaced:
        return model
    nodes = [
        replaced.get(node.output[0], node)
        for node in model.graph.node
        if node.output[0] not in gone
    ]
    return rewritten(model, nodes, graph.constants)


def _added(graph: Graph, norm: onnx.NodeProto) -> Iterator[tuple[onnx.NodeProto, onnx.NodeProto]]:
    """The addition of two values that a layer norm takes, and that norm."""
    if norm.op_type != "LayerNormalization" or len(norm.output) != 1:
        return
    axis = next((each.i for each in norm.attribute if each.name == "axis"), None)
    add = graph.producers.get(norm.input[0])
    if add is None or add.op_type != "Add" or axis not in LAST:
        return
    if not set(add.input) & set(graph.constants):
        yield add, norm


def _norm(graph: Graph, add: onnx.NodeProto, norm: onnx.NodeProto) -> onnx.NodeProto:
    """Both as one, with the bias of the linear layer that is added, where there is one."""
    scale, shift = norm.input[1], norm.input[2] if len(norm.input) > 2 else ""
    inputs = [*add.input, scale, shift]
    for index in (0, 1):
        part = _linear(graph, add.input[index])
        if part is not None and len(graph.consumers[part.output]) == 1:
            inputs = [part.product, add.input[1 - index], scale, shift, str(part.bias_name)]
            break
    is_alone = len(graph.consumers[add.output[0]]) == 1
    outputs = [norm.output[0], *([] if is_alone else ["", "", add.output[0]])]
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
    return helper.make_node(
        NORM, inputs, outputs, name=norm.output[0], domain=CONTRIBUTED, epsilon=epsilon
    )


def _gelu(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    """GELU, as it is defined and not as tanh comes near it, with the bias before it."""
    how = next((each.s for each in node.attribute if each.name == "approximate"), None)
    part = _linear(graph, node.input[0])
    if part is None or how not in SPELLED_OUT or len(graph.consumers[part.output]) != 1:
        return None
    inputs = [part.product, str(part.bias_name)]
    return helper.make_node(
        GELU, inputs, list(node.output), name=node.output[0], domain=CONTRIBUTED
    )


def _linear(graph: Graph, value: str) -> Part | None:
    """The linear layer with a bias that gives the value."""
    add = graph.producers.get(value)
    if add is None or add.op_type != "Add":
        return None
    for name in add.input:
        product = graph.producers.get(name)
        if (
            product is not None
            and product.op_type == "MatMul"
            and product.input[1] in graph.constants
        ):
            part = graph.part(product)
            if part.output == value:
                return part
    return None

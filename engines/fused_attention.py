"""Attention of a graph that was not made here, each layer's as one operator.

It is known by what it is made of and not by the exporter's names: query, key and value are linear
layers of one value, parted into heads; scores are scaled, and the padding mask is added. What is
otherwise, such as DeBERTa's scores of content and place or ModernBERT's rotated queries, is left.
ONNX Runtime's own fusions (`onnxruntime.transformers.optimizer`) find none of these: they look for
the shapes and masks that PyTorch's former exporter wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engines.attention_operator import attention_node, lengths, lengths_axis, rewritten
from engines.linear_layers import Graph, Layer, Part
from engines.padding_mask import is_padding_mask
from engines.seen_shapes import seen_shapes

HEADS, KEY_HEADS = [0, 2, 1, 3], [0, 2, 3, 1]
LAST = (None, -1, 3)


@dataclass(frozen=True)
class Scores:
    """Products of queries and keys: the node, what they are multiplied with, what is added."""

    product: onnx.NodeProto
    scale: float = 1.0
    added: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attention:
    """One layer's: the value that it gives, query, key and value as one layer, the values of each
    parted into heads, and the scores."""

    output: str
    layer: Layer
    parted: tuple[str, ...]
    scores: Scores

    def values(self) -> list[str]:
        """Those whose shapes matter."""
        return [self.output, self.layer.value, *self.parted, *self.scores.added]


def with_fused_attention(model: onnx.ModelProto, max_tokens: int) -> onnx.ModelProto:
    """The graph with each attention that is recognized as one operator; others are left.

    Args:
        model: in FP32, as engines/simplify.py leaves it.
        max_tokens: the longest text that its engine takes.
    """
    graph = Graph(model)
    found = [each for node in model.graph.node for each in _attention(graph, node)]
    shapes = seen_shapes(model, (name for each in found for name in each.values()))
    added = {name for each in found for name in each.scores.added}
    masks = {name for name in sorted(added) if is_padding_mask(model, name, max_tokens)}
    axis = lengths_axis()
    constants = {**graph.constants, axis.name: axis}
    replaced = {}
    for each in found:
        biases = [name for name in each.scores.added if name not in masks]
        if len(biases) < len(each.scores.added) and _fits(each, biases, shapes):
            inputs = [each.layer.value, *_joined(each.layer, constants)]
            heads = shapes[each.parted[0]][2]
            replaced[each.output] = attention_node(
                each.output, inputs, heads, each.scores.scale, *biases
            )
    if not replaced:
        return model
    nodes = [replaced.get(node.output[0], node) for node in model.graph.node]
    return rewritten(model, [*lengths(), *nodes], constants)


def _attention(graph: Graph, node: onnx.NodeProto) -> Iterator[Attention]:
    """The attention whose value that node gives, if it is one."""
    if node.op_type != "Reshape":
        return
    weighted = _unturned(graph, node.input[0], HEADS)
    if weighted is None or weighted.op_type != "MatMul":
        return
    softmax = graph.producers.get(weighted.input[0])
    if softmax is None or softmax.op_type != "Softmax" or _attribute(softmax, "axis") not in LAST:
        return
    scores = _scores(graph, softmax.input[0])
    if scores is None or set(scores.added) & set(graph.constants):
        return
    query, key = scores.product.input
    sides = ((query, HEADS), (key, KEY_HEADS), (weighted.input[1], HEADS))
    parted = [each for side in sides if (each := _unturned(graph, *side)) is not None]
    parts = [part for each in parted for part in _linear(graph, each)]
    values = {graph.producers[part.product].input[0] for part in parts}
    if len(parts) == len(sides) and len(values) == 1:
        layer = Layer(values.pop(), "other", tuple(parts))
        names = tuple(each.output[0] for each in parted)
        yield Attention(node.output[0], layer, names, scores)


def _scores(graph: Graph, value: str) -> Scores | None:
    """What scores are made of, from softmax's input upwards."""
    node = graph.producers.get(value)
    if node is None:
        return None
    if node.op_type == "MatMul" and not set(node.input) & set(graph.constants):
        return Scores(node)
    if node.op_type in ("Mul", "Div"):
        inside, factor = _scores(graph, node.input[0]), _number(graph, node.input[1])
        if inside is None or inside.added or not factor:
            return None
        scale = inside.scale * (factor if node.op_type == "Mul" else 1 / factor)
        return Scores(inside.product, scale)
    if node.op_type == "Add":
        for value_in, added in (node.input, reversed(node.input)):
            inside = _scores(graph, value_in)
            if inside is not None:
                return Scores(inside.product, inside.scale, (*inside.added, added))
    return None


def _unturned(graph: Graph, value: str, turn: list[int]) -> onnx.NodeProto | None:
    """What gives the value that a transposition turned so."""
    node = graph.producers.get(value)
    if node is None or node.op_type != "Transpose" or _attribute(node, "perm") != turn:
        return None
    return graph.producers.get(node.input[0])


def _linear(graph: Graph, reshape: onnx.NodeProto) -> Iterator[Part]:
    """The linear layer whose value is parted by that node."""
    if reshape.op_type != "Reshape":
        return
    node = graph.producers.get(reshape.input[0])
    if node is not None and node.op_type == "Add":
        products = (graph.producers.get(name) for name in node.input)
        node = next((each for each in products if each and each.op_type == "MatMul"), None)
    if node is None or node.op_type != "MatMul" or node.input[1] not in graph.constants:
        return
    part = graph.part(node)
    if part.output == reshape.input[0]:
        yield part


def _fits(found: Attention, biases: list[str], shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether the shapes are those of the operator: the same heads for query, key and value, which
    lie side by side in what is given."""
    shape = shapes[found.parted[0]]
    parted = {shapes[name] for name in found.parted}
    if len(parted) != 1 or len(biases) > 1 or len(shapes[found.output]) != 3:
        return False
    rows, tokens, width = shapes[found.output]
    if len(shape) != 4 or shape[:2] != (rows, tokens) or shape[2] * shape[3] != width:
        return False
    sizes = {part.weight.shape for part in found.layer.parts}
    is_square = sizes == {(shapes[found.layer.value][-1], width)}
    bias_shapes = ((1, shape[2], tokens, tokens), (rows, shape[2], tokens, tokens))
    return is_square and all(shapes[name] in bias_shapes for name in biases)


def _joined(layer: Layer, constants: dict[str, onnx.TensorProto]) -> tuple[str, str]:
    """Names of the weights and of the biases side by side; equal ones are stored once."""
    biases = (part.bias_name or f"zeros.{part.weight.shape[1]}" for part in layer.parts)
    names = "+".join(layer.weight_names), "+".join(biases)
    bias = np.zeros(layer.weight.shape[1], np.float32) if layer.bias is None else layer.bias
    for name, array in zip(names, (layer.weight, bias), strict=True):
        constants[name] = numpy_helper.from_array(array, name)
    return names


def _number(graph: Graph, name: str) -> float | None:
    """A constant of one element."""
    tensor = graph.constants.get(name)
    found = None if tensor is None else numpy_helper.to_array(tensor)
    return float(found.item()) if found is not None and found.size == 1 else None


def _attribute(node: onnx.NodeProto, name: str) -> Any:
    """What the node says of itself, or None."""
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), None)

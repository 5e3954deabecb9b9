"""The linear layers of a graph that was not made here: found, and told apart by what feeds them.

A layer is one value multiplied with one or several constant matrices, which then run as one
product: query, key and value, most often. Only those on every token count, values of three
dimensions; what stands behind the pooling is the head and stays FP32.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from core.tokenizer import pad
from engines.calibrate import ChannelRange, watched
from engines.measure import feed, open_session
from engines.quantize import GELU_FLOOR

Array = NDArray[np.float32]
Producer = Literal["layer norm", "gelu", "attention", "other"]

# These only move values about: what stands before them decides.
MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Cast", "Slice", "Gather")
# GELU spelled out is made of these, and of one value alone: a gate has a second one.
SPELLED_GELU = ("Erf", "Tanh")
SPELLED_STEPS = ("Mul", "Add", "Div", "Pow", *SPELLED_GELU)


@dataclass(frozen=True)
class Part:
    """One product of a layer: its node's output, the value that has the bias too, if there is one,
    and the constants; weight (in, out), bias (out,)."""

    product: str
    output: str
    weight_name: str
    weight: Array
    bias_name: str | None = None
    bias: Array | None = None

    @property
    def label(self) -> str:
        """Its name for people: the bias kept its name in the checkpoint, where there is one."""
        name = self.bias_name or self.weight_name
        return name.removeprefix("model.").removesuffix(".bias").removesuffix(".weight")


@dataclass(frozen=True)
class Layer:
    """Products of one value, which run as one."""

    value: str
    producer: Producer
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """That of its first product, which is unique."""
        return self.parts[0].product

    @property
    def label(self) -> str:
        """Its name for people."""
        return " + ".join(part.label for part in self.parts)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """What two layers that share their weights have in common."""
        return tuple(part.weight_name for part in self.parts)

    @property
    def weight(self) -> Array:
        """All products' weights side by side (in, out)."""
        return np.concatenate([part.weight for part in self.parts], axis=1)

    @property
    def bias(self) -> Array | None:
        """All products' biases (out,), or None if no product has one."""
        if all(part.bias is None for part in self.parts):
            return None
        zeros = (np.zeros(part.weight.shape[1], dtype=np.float32) for part in self.parts)
        pairs = zip(self.parts, zeros, strict=True)
        return np.concatenate([zero if part.bias is None else part.bias for part, zero in pairs])


class Graph:
    """A model's nodes and constants, by what they give and who takes it."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.producers = {name: node for node in model.graph.node for name in node.output}
        self.consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.consumers[name].append(node)

    def part(self, node: onnx.NodeProto) -> Part:
        """The product of that node, with the bias that is added to it."""
        product, weight_name = node.output[0], node.input[1]
        weight = numpy_helper.to_array(self.constants[weight_name])
        takers = self.consumers[product]
        if len(takers) == 1 and takers[0].op_type == "Add":
            (other,) = [name for name in takers[0].input if name != product] or [product]
            if other in self.constants:
                bias = numpy_helper.to_array(self.constants[other])
                if bias.shape == weight.shape[1:]:
                    return Part(product, takers[0].output[0], weight_name, weight, other, bias)
        return Part(product, product, weight_name, weight)

    def producer(self, value: str) -> Producer:
        """What feeds the layers that take `value`."""
        node = self.producers.get(value)
        while node is not None and node.op_type in MOVES:
            node = self.producers.get(node.input[0])
        if node is None:
            return "other"
        if node.op_type == "LayerNormalization":
            return "layer norm"
        if node.op_type in ("Gelu", "Relu") or self._spells_gelu(node):
            return "gelu"
        if node.op_type == "MatMul" and not set(node.input) & set(self.constants):
            return "attention"
        return "other"

    def _spells_gelu(self, node: onnx.NodeProto) -> bool:
        if node.op_type != "Mul":
            return False
        sources: set[str] = set()
        seen, above = {node.output[0]}, [node]
        found = False
        while above:
            each = above.pop()
            found = found or each.op_type in SPELLED_GELU
            for name in each.input:
                before = self.producers.get(name)
                if before is not None and before.op_type in SPELLED_STEPS:
                    if name not in seen:
                        above.append(before)
                    seen.add(name)
                elif name not in self.constants:
                    sources.add(name)
        return found and len(sources) == 1


def find_layers(model: onnx.ModelProto, row: list[int]) -> list[Layer]:
    """The linear layers of the encoder, in the graph's order.

    Args:
        model: an unquantized graph, as engines/simplify.py leaves it.
        row: token ids of any text, three or more; run once to see the values' dimensions.
    """
    graph = Graph(model)
    products = [
        node
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[1] in graph.constants
        and len(graph.constants[node.input[1]].dims) == 2
        and node.input[0] not in graph.constants
    ]
    grouped: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in products:
        grouped[node.input[0]].append(node)
    every_token = _on_every_token(model, list(grouped), row)
    return _alike(
        [
            Layer(value, graph.producer(value), tuple(graph.part(node) for node in nodes))
            for value, nodes in grouped.items()
            if value in every_token
        ]
    )


def _alike(layers: Sequence[Layer]) -> list[Layer]:
    """Layers that share their weights are fed by what feeds most of them, so that they stay
    shared."""
    producers: dict[tuple[str, ...], Counter[Producer]] = defaultdict(Counter)
    for layer in layers:
        producers[layer.weight_names][layer.producer] += 1
    return [
        replace(layer, producer=producers[layer.weight_names].most_common(1)[0][0])
        for layer in layers
    ]


def _on_every_token(model: onnx.ModelProto, values: Sequence[str], row: list[int]) -> set[str]:
    """Those of the values that have the shape (batch, tokens, width)."""
    session = open_session(watched(model, values))
    found = session.run(list(values), feed(*pad([row], len(row)))) if values else []
    return {
        value
        for value, array in zip(values, found, strict=True)
        if array.ndim == 3 and array.shape[1] == len(row)
    }


def with_shared_ranges(
    layers: Sequence[Layer], ranges: Mapping[str, ChannelRange]
) -> dict[str, ChannelRange]:
    """Ranges by layer, the same for all layers that share their weights.

    So the weights, which smoothing changes by the ranges, stay shared: ALBERT has one layer,
    used twelve times.
    """
    together: dict[tuple[str, ...], ChannelRange] = {}
    for layer in layers:
        seen = ranges[layer.value]
        known = together.get(layer.weight_names, seen)
        together[layer.weight_names] = ChannelRange(
            np.minimum(known.low, seen.low), np.maximum(known.high, seen.high)
        )
    return {layer.name: together[layer.weight_names] for layer in layers}


def is_floored(layer: Layer, seen: ChannelRange) -> bool:
    """Whether a layer's input is GELU's or ReLU's, which never falls far below zero.

    What is spelled like GELU but was seen below it is another function.
    """
    return layer.producer == "gelu" and float(seen.low.min()) >= -GELU_FLOOR - 1e-3

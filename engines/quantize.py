"""INT8 whose answers hold still: a graph's linear layers rewritten, by what feeds them.

No scale depends on a text's batch-mates or padding, so neither do its answers:

- after a layer norm: static scale, smoothed. Channels are divided by what the weights can take
  (SmoothQuant, Xiao et al. 2022, arXiv:2211.10438), since a few are ten times the others;
- after GELU: a scale per token. A few tokens reach ten times the others, which one static scale
  cannot follow; GELU's floor of -0.17 leaves nearly all of the range to positive values;
- after attention: static scale. Averages of values have no outliers;
- elsewhere (the head): FP32, it is small and decides the label.

Activations are unsigned, weights signed with a scale per output channel: the pair that AVX512-VNNI
multiplies. The graph is written with QuantizeLinear and DequantizeLinear (QDQ) in standard ONNX,
which each runtime fuses into its own integer kernels. engines/schemes.py tells what was tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.calibrate import ChannelRange
from engines.errors import EngineError

# How much of a channel's range moves from activations into weights: 0 none, 1 all.
SMOOTHING = 0.7
GELU_FLOOR = 0.17
# Tokens whose largest value is below this share its scale, which keeps GELU's floor in range.
SMALLEST_TOKEN_RANGE = 1.0
WORDS = "embeddings.words"

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Linear:
    """One `value @ weight + bias` of the graph; weight (in, out), bias (out,)."""

    name: str
    value: str
    weight: Array
    bias: Array
    producer: str


class Rewriter:
    """Collects the nodes and constants of the quantized graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """Keep `value` as the initializer `name`."""
        self.constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def product(self, linear: Linear, value: str, weight: Array, scale: float, zero: int) -> str:
        """The INT8 product of `value`, quantized by `scale` and `zero`, and `weight`, as FP32."""
        name = linear.name
        activation = [
            self.constant(f"{name}.scale", np.array(scale, dtype=np.float32)),
            self.constant(f"{name}.zero", np.array(zero, dtype=np.uint8)),
        ]
        value = self.node("QuantizeLinear", [value, *activation], f"{name}.quantized")
        value = self.node("DequantizeLinear", [value, *activation], f"{name}.value")
        whole, scales = quantize_weight(weight)
        inputs = [
            self.constant(f"{name}.weight", whole),
            self.constant(f"{name}.weight_scale", scales),
            self.constant(f"{name}.weight_zero", np.zeros(len(scales), dtype=np.int8)),
        ]
        matrix = self.node("DequantizeLinear", inputs, f"{name}.matrix", axis=1)
        return self.node("MatMul", [value, matrix], f"{name}.product")

    def static(self, linear: Linear, seen: ChannelRange) -> str:
        """One scale for all values."""
        scale, zero = scale_and_zero(float(seen.low.min()), float(seen.high.max()))
        return self.product(linear, linear.value, linear.weight, scale, zero)

    def smoothed(self, linear: Linear, seen: ChannelRange) -> str:
        """One scale for all values, after dividing every channel by its share of the range."""
        reach = np.maximum(np.maximum(-seen.low, seen.high), 1e-3)
        strength = np.maximum(np.abs(linear.weight).max(axis=1), 1e-5)
        divisor = (reach**SMOOTHING / strength ** (1 - SMOOTHING)).astype(np.float32)
        inverse = self.constant(f"{linear.name}.smoothing", 1 / divisor)
        value = self.node("Mul", [linear.value, inverse], f"{linear.name}.smoothed")
        scale, zero = scale_and_zero(
            float((seen.low / divisor).min()), float((seen.high / divisor).max())
        )
        return self.product(linear, value, linear.weight * divisor[:, None], scale, zero)

    def per_token(self, linear: Linear) -> str:
        """Every token's values divided by its largest, and the product multiplied by it."""
        name = linear.name
        last = self.constant("last_axis", np.array([-1], dtype=np.int64))
        floor = self.constant("token_range", np.array(SMALLEST_TOKEN_RANGE, dtype=np.float32))
        largest = self.node("ReduceMax", [linear.value, last], f"{name}.largest", keepdims=1)
        largest = self.node("Max", [largest, floor], f"{name}.range")
        value = self.node("Div", [linear.value, largest], f"{name}.relative")
        scale, zero = scale_and_zero(-GELU_FLOOR / SMALLEST_TOKEN_RANGE, 1.0)
        product = self.product(linear, value, linear.weight, scale, zero)
        return self.node("Mul", [product, largest], f"{name}.rescaled")

    def embeddings(self, node: onnx.NodeProto, table: Array) -> None:
        """Look up words in an INT8 table with a scale per word: a quarter of the FP32 table."""
        whole, scales = quantize_weight(table.T)
        words = self.constant(f"{WORDS}.table", whole.T)
        scale_table = self.constant(f"{WORDS}.table_scale", scales[:, None])
        found = self.node("Gather", [words, node.input[1]], f"{WORDS}.whole")
        found = self.node("Cast", [found], f"{WORDS}.unscaled", to=TensorProto.FLOAT)
        scale = self.node("Gather", [scale_table, node.input[1]], f"{WORDS}.scale")
        self.node("Mul", [found, scale], node.output[0])


def quantize_weight(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Symmetric INT8 of each column of (in, out): whole numbers (in, out) and scales (out,)."""
    scales = (np.maximum(np.abs(weight).max(axis=0), 1e-12) / 127).astype(np.float32)
    return np.clip(np.rint(weight / scales), -127, 127).astype(np.int8), scales


Scheme = Callable[[Rewriter, Linear, Mapping[str, ChannelRange]], str]


def by_producer(rewriter: Rewriter, linear: Linear, ranges: Mapping[str, ChannelRange]) -> str:
    """The scheme that is served: what feeds a layer decides how its input is quantized."""
    if linear.producer == "Gelu":
        return rewriter.per_token(linear)
    if linear.value not in ranges:
        raise EngineError(f"no calibrated range for {linear.value}; calibrate this very graph")
    if linear.producer == "LayerNormalization":
        return rewriter.smoothed(linear, ranges[linear.value])
    return rewriter.static(linear, ranges[linear.value])


def quantize(
    model: onnx.ModelProto, ranges: Mapping[str, ChannelRange], scheme: Scheme = by_producer
) -> onnx.ModelProto:
    """The INT8 counterpart of a graph made by engines/graph.py.

    Args:
        model: the unquantized graph; left as it is.
        ranges: ranges of the linear layers' inputs, by the input's name.
        scheme: writes a layer's product, without its bias, and returns its name.

    Raises:
        EngineError: the range of a layer's input is missing.
    """
    rewriter = Rewriter()
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    linears = {linear.name: linear for linear in _linears(model, constants)}
    for node in model.graph.node:
        output = node.output[0]
        if output.removesuffix(".product") in linears and node.op_type == "MatMul":
            continue
        if output == WORDS:
            rewriter.embeddings(node, numpy_helper.to_array(constants[node.input[0]]))
        elif output in linears:
            product = scheme(rewriter, linears[output], ranges)
            bias = rewriter.constant(f"{output}.bias", linears[output].bias)
            rewriter.node("Add", [product, bias], output)
        else:
            rewriter.nodes.append(node)
    return assembled(model, rewriter, constants)


def _linears(model: onnx.ModelProto, constants: Mapping[str, onnx.TensorProto]) -> list[Linear]:
    """The linear layers to quantize: all that are fed by a layer norm, GELU or attention."""
    producers = {node.output[0]: node.op_type for node in model.graph.node}
    return [
        Linear(
            name=node.output[0].removesuffix(".product"),
            value=node.input[0],
            weight=numpy_helper.to_array(constants[node.input[1]]),
            bias=numpy_helper.to_array(
                constants[node.output[0].removesuffix(".product") + ".bias"]
            ),
            producer=producers[node.input[0]],
        )
        for node in model.graph.node
        if node.op_type == "MatMul"
        and node.input[1] in constants
        and producers.get(node.input[0]) in ("LayerNormalization", "Gelu", "Gather")
    ]


def scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of unsigned 8-bit numbers that span `low` to `high`, and zero."""
    low, high = min(low, 0.0), max(high, 1e-6)
    scale = (high - low) / 255
    return scale, round(-low / scale)


def assembled(
    model: onnx.ModelProto, rewriter: Rewriter, constants: Mapping[str, onnx.TensorProto]
) -> onnx.ModelProto:
    """`model` with the rewritten nodes, and those of its `constants` that they still take."""
    used = {name for node in rewriter.nodes for name in node.input}
    kept = {name: t for name, t in constants.items() if name in used} | rewriter.constants
    quantized = onnx.ModelProto()
    quantized.CopyFrom(model)
    del quantized.graph.node[:]
    del quantized.graph.initializer[:]
    quantized.graph.node.extend(rewriter.nodes)
    quantized.graph.initializer.extend(kept.values())
    return quantized

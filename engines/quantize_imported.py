"""INT8 of any encoder's graph, by the scheme of engines/quantize.py or one that is given.

What feeds a layer decides its input's scale: smoothed after layer norms, per token after GELU,
static after attention. Where none of these feeds it, as behind a gated GELU (ModernBERT), every
token has a scale of its own, both ways from zero.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.calibrate import ChannelRange
from engines.constants import share_constants
from engines.linear_layers import MOVES, Layer, is_floored
from engines.quantize import Linear, Rewriter, Scheme, assembled, scale_and_zero
from engines.scheme_choices import MICROSOFT

WORDS_INDEX = "input_ids"
SMALLEST_GATED_RANGE = 1e-6

SCHEME = (
    "QDQ; weights signed, a scale per output channel; activations unsigned: static and smoothed "
    "(0.7) after layer norms, static after attention, per token after GELU and gates; head FP32; "
    "word embeddings INT8, a scale per word"
)


def quantize_imported(
    model: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    kept: Collection[str] = (),
    words: bool = True,
    scheme: Scheme | None = None,
) -> onnx.ModelProto:
    """The INT8 counterpart of any encoder's graph.

    Args:
        model: the unquantized graph, which is left as it is.
        layers: its linear layers.
        ranges: ranges of their inputs, by the layer's name (`with_shared_ranges`).
        kept: names of layers that stay FP32.
        words: whether the table of word embeddings becomes INT8.
        scheme: writes a layer's product; by default that of this module.
    """
    rewriter = Rewriter()
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    chosen = [layer for layer in layers if layer.name not in kept]
    first = {layer.name: layer for layer in chosen}
    absorbed = {name for layer in chosen for p in layer.parts for name in (p.product, p.output)}
    table = _word_table(model) if words else None
    for node in model.graph.node:
        output = node.output[0]
        if output in first:
            _write(rewriter, first[output], ranges[output], scheme or _by_producer(first[output]))
        elif output in absorbed:
            continue
        elif table is not None and node.op_type == "Gather" and node.input[0] == table:
            rewriter.embeddings(node, numpy_helper.to_array(constants[table]))
        else:
            rewriter.nodes.append(node)
    quantized = assembled(model, rewriter, constants)
    share_constants(quantized)
    if any(node.domain == MICROSOFT for node in rewriter.nodes):
        quantized.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return quantized


def _write(rewriter: Rewriter, layer: Layer, seen: ChannelRange, scheme: Scheme) -> None:
    """The layer's product, bias, and division into its parts."""
    name = f"{layer.name}.int8"
    linear = Linear(name, layer.value, layer.weight, np.zeros(0, np.float32), layer.producer)
    value = scheme(rewriter, linear, {layer.value: seen})
    outputs = [part.output for part in layer.parts]
    if layer.bias is not None:
        bias = rewriter.constant(f"{name}.bias", layer.bias)
        end = outputs[0] if len(outputs) == 1 else f"{name}.sum"
        value = rewriter.node("Add", [value, bias], end)
    if len(outputs) == 1:
        if layer.bias is None:
            rewriter.node("Identity", [value], outputs[0])
        return
    widths = np.array([part.weight.shape[1] for part in layer.parts], dtype=np.int64)
    sizes = rewriter.constant(f"{name}.widths", widths)
    rewriter.nodes.append(
        helper.make_node("Split", [value, sizes], outputs, name=f"{name}.split", axis=-1)
    )


def _by_producer(layer: Layer) -> Scheme:
    def scheme(rewriter: Rewriter, linear: Linear, ranges: Mapping[str, ChannelRange]) -> str:
        seen = ranges[linear.value]
        if is_floored(layer, seen):
            return rewriter.per_token(linear)
        if layer.producer == "layer norm":
            return rewriter.smoothed(linear, seen)
        if layer.producer == "attention":
            return rewriter.static(linear, seen)
        return _per_token_both_ways(rewriter, linear)

    return scheme


def _per_token_both_ways(rewriter: Rewriter, linear: Linear) -> str:
    """Every token's values divided by its largest, whatever its sign, and the product multiplied
    by it."""
    name = linear.name
    last = rewriter.constant("last_axis", np.array([-1], dtype=np.int64))
    floor = rewriter.constant("gated_range", np.array(SMALLEST_GATED_RANGE, dtype=np.float32))
    size = rewriter.node("Abs", [linear.value], f"{name}.size")
    largest = rewriter.node("ReduceMax", [size, last], f"{name}.largest", keepdims=1)
    largest = rewriter.node("Max", [largest, floor], f"{name}.range")
    value = rewriter.node("Div", [linear.value, largest], f"{name}.relative")
    scale, zero = scale_and_zero(-1.0, 1.0)
    product = rewriter.product(linear, value, linear.weight, scale, zero)
    return rewriter.node("Mul", [product, largest], f"{name}.rescaled")


def _word_table(model: onnx.ModelProto) -> str | None:
    """The constant that words are looked up in, if nothing else takes it."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    producers = {name: node for node in model.graph.node for name in node.output}

    def is_words(value: str) -> bool:
        node = producers.get(value)
        while node is not None and node.op_type in MOVES:
            value = node.input[0]
            node = producers.get(value)
        return value == WORDS_INDEX

    tables = {
        node.input[0]
        for node in model.graph.node
        if node.op_type == "Gather"
        and node.input[0] in constants
        and is_words(node.input[1])
        and constants[node.input[0]].data_type == TensorProto.FLOAT
        and len(constants[node.input[0]].dims) == 2
    }
    takers = [name for node in model.graph.node for name in node.input if name in tables]
    return takers[0] if len(takers) == 1 else None

"""INT8 as TensorRT takes it: signed, zero in the middle, by the schemes of the CPU's engines.

TensorRT multiplies signed with signed numbers, and knows no zero point. So every range is made the
same on both sides of zero before it sets a scale; what `Rewriter` then writes is unsigned with 128
for zero, which is the same as signed with none, and is put so at the end. Behind GELU, whose
positive side alone reaches far, half of the numbers stay unused; a scale per token, as on the CPU,
is what makes up for it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from engines.calibrate import ChannelRange
from engines.errors import EngineError
from engines.quantize import Linear, Rewriter
from engines.scheme_choices import Ranges, per_token, smoothed, static

QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
MIDDLE = 128

SCHEME = (
    "QDQ, signed, zero point 0; weights with a scale per output channel; activations: static and "
    "smoothed (0.7) after layer norms, static after attention, per token elsewhere; head and word "
    "embeddings FP16, and all that is not multiplied in INT8"
)


def symmetric_ranges(ranges: Mapping[str, ChannelRange]) -> dict[str, ChannelRange]:
    """Ranges that reach equally far on both sides of zero.

    The lower side is 128/127 of the upper one, because there is one number more below zero: the
    zero point then is 128 to the last bit.
    """
    found = {}
    for name, seen in ranges.items():
        reach = np.maximum(np.maximum(np.abs(seen.low), np.abs(seen.high)), np.float32(1e-6))
        found[name] = ChannelRange(-reach * np.float32(MIDDLE / (MIDDLE - 1)), reach)
    return found


def by_producer(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
    """What feeds a layer decides, as for the CPU; `ranges` are those of `symmetric_ranges`."""
    if linear.producer == "layer norm":
        return smoothed(rewriter, linear, ranges)
    if linear.producer == "attention":
        return static(rewriter, linear, ranges)
    return per_token(rewriter, linear, ranges)


def signed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, answers and all, with signed activations and zero points of 0.

    Raises:
        EngineError: a zero point is neither 0 nor 128; names the node.
    """
    result = onnx.ModelProto()
    result.CopyFrom(model)
    takers = {
        node.input[2]: node.name or node.output[0]
        for node in result.graph.node
        if node.op_type in QUANTIZERS and len(node.input) > 2
    }
    for tensor in result.graph.initializer:
        if tensor.name not in takers or tensor.data_type != TensorProto.UINT8:
            continue
        zeros = numpy_helper.to_array(tensor)
        if (zeros != MIDDLE).any():
            raise EngineError(
                f"{takers[tensor.name]} has the zero point {zeros.flat[0]}, not {MIDDLE}: its "
                "range is not the same on both sides of zero"
            )
        tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(zeros, dtype=np.int8), tensor.name))
    return result

"""Ranges of the values that enter a graph's linear layers, from running texts through it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from core.tokenizer import pad
from engines.measure import feed, open_session


@dataclass(frozen=True)
class ChannelRange:
    """The smallest and largest value seen in each channel, float32, shape (channels,)."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def with_values(self, values: NDArray[np.float32]) -> ChannelRange:
        """Widened by `values`, shape (tokens, channels)."""
        return ChannelRange(
            np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        )


def linear_inputs(model: onnx.ModelProto) -> list[str]:
    """Names of the values that are multiplied with constant matrices, each once."""
    constants = {tensor.name for tensor in model.graph.initializer}
    names = (
        node.input[0]
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    )
    return list(dict.fromkeys(names))


def watched(model: onnx.ModelProto, names: Iterable[str]) -> onnx.ModelProto:
    """A copy of the model that gives the named values too, in that order, behind its output."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return copy


def channel_ranges(model: onnx.ModelProto, rows: Iterable[list[int]]) -> dict[str, ChannelRange]:
    """Range of every channel of every linear layer's input, by the input's name.

    Args:
        model: an unquantized graph.
        rows: token ids of the calibration texts; each is run alone, without padding, so that
            padding has no say in the scales.
    """
    names = linear_inputs(model)
    session = open_session(watched(model, names))
    ranges: dict[str, ChannelRange] = {}
    for row in rows:
        values = session.run(names, feed(*pad([row], len(row))))
        for name, value in zip(names, values, strict=True):
            flat = value.reshape(-1, value.shape[-1])
            known = ranges.get(name, ChannelRange(flat[0], flat[0]))
            ranges[name] = known.with_values(flat)
    return ranges

"""The INT8 schemes to choose from. docs/int8.md has what each does to answers, and its time.

A scheme writes the product of one layer, without its bias; what feeds the layer decides only in
the default one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from engines.calibrate import ChannelRange
from engines.errors import EngineError
from engines.quantize import Linear, Rewriter, Scheme, quantize_weight

MICROSOFT = "com.microsoft"
DEFAULT = "mixed"
BLOCK = 64

Ranges = Mapping[str, ChannelRange]


def dynamic(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
    """ONNX Runtime's dynamic quantization: one scale for the batch. Fast, and not to be served."""
    name = linear.name
    whole, scales = quantize_weight(linear.weight)
    quantized = [f"{name}.quantized", f"{name}.scale", f"{name}.zero"]
    rewriter.nodes.append(helper.make_node("DynamicQuantizeLinear", [linear.value], quantized))
    inputs = [quantized[0], rewriter.constant(f"{name}.weight", whole), quantized[2]]
    product = rewriter.node("MatMulInteger", inputs, f"{name}.whole")
    product = rewriter.node("Cast", [product], f"{name}.unscaled", to=TensorProto.FLOAT)
    weight_scale = rewriter.constant(f"{name}.weight_scale", scales)
    both = rewriter.node("Mul", [quantized[1], weight_scale], f"{name}.both_scales")
    return rewriter.node("Mul", [product, both], f"{name}.product")


def static(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
    """The smallest and largest value seen in calibration."""
    return rewriter.static(linear, ranges[linear.value])


def smoothed(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
    """SmoothQuant everywhere."""
    return rewriter.smoothed(linear, ranges[linear.value])


def per_token(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
    """A scale per token everywhere: no calibration."""
    name = linear.name
    last = rewriter.constant("last_axis", np.array([-1], dtype=np.int64))
    floor = rewriter.constant("smallest", np.array(1e-9, dtype=np.float32))
    size = rewriter.node("Abs", [linear.value], f"{name}.size")
    largest = rewriter.node("ReduceMax", [size, last], f"{name}.largest", keepdims=1)
    largest = rewriter.node("Max", [largest, floor], f"{name}.range")
    value = rewriter.node("Div", [linear.value, largest], f"{name}.relative")
    product = rewriter.product(linear, value, linear.weight, 1 / 127, 128)
    return rewriter.node("Mul", [product, largest], f"{name}.rescaled")


def by_blocks(block: int) -> Scheme:
    """com.microsoft.MatMulNBits, 8 bits: scales per row and block, inside the kernel."""

    def scheme(rewriter: Rewriter, linear: Linear, ranges: Ranges) -> str:
        inputs, outputs = linear.weight.shape
        if inputs % block:
            raise EngineError(
                f"a layer takes {inputs} values, which are no whole blocks of {block}; choose "
                "another scheme"
            )
        blocks = linear.weight.T.reshape(outputs, inputs // block, block)
        largest = np.maximum(np.abs(blocks).max(axis=2), 1e-12)
        scales = (largest / 127).astype(np.float32)
        whole = np.clip(np.rint(blocks / scales[..., None]), -127, 127) + 128
        names = [
            linear.value,
            rewriter.constant(f"{linear.name}.weight", whole.astype(np.uint8)),
            rewriter.constant(f"{linear.name}.weight_scale", scales),
        ]
        sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": block, "accuracy_level": 4}
        return rewriter.node(
            "MatMulNBits", names, f"{linear.name}.product", domain=MICROSOFT, **sizes
        )

    return scheme


@dataclass(frozen=True)
class Choice:
    """A scheme by its name; `scheme` None is that of engines/quantize_imported.py."""

    name: str
    scheme: Scheme | None
    text: str


CHOICES = {
    choice.name: choice
    for choice in (
        Choice(
            DEFAULT,
            None,
            "QDQ; weights signed, a scale per output channel; activations unsigned: static and "
            "smoothed (0.7) after layer norms, static after attention, per token after GELU and "
            "gates",
        ),
        Choice(
            "static",
            static,
            "QDQ; weights signed, a scale per output channel; activations static, one scale a "
            "tensor, smallest to largest value of the calibration",
        ),
        Choice(
            "smoothed",
            smoothed,
            "QDQ; weights signed, a scale per output channel; activations static and smoothed "
            "(0.7) everywhere",
        ),
        Choice(
            "per-token",
            per_token,
            "QDQ; weights signed, a scale per output channel; activations with a scale per token, "
            "at run time",
        ),
        Choice(
            "blocks",
            by_blocks(BLOCK),
            f"com.microsoft.MatMulNBits, 8 bits, scales per row and blocks of {BLOCK}; read by "
            "ONNX Runtime alone",
        ),
        Choice(
            "dynamic",
            dynamic,
            "dynamic, weights signed, a scale per output channel; activations with one scale for "
            "the whole batch, at run time",
        ),
    )
}


def choice_of(name: str) -> Choice:
    """The scheme of that name.

    Raises:
        EngineError: there is none; the known ones are listed.
    """
    if name not in CHOICES:
        raise EngineError(f"--scheme {name}: choose one of {', '.join(CHOICES)}")
    return CHOICES[name]

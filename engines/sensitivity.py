"""Keeps the layers that suffer most from INT8 in FP32, until the gate passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx

from engines.calibrate import ChannelRange
from engines.import_measure import Examiner, Findings
from engines.linear_layers import Layer
from engines.measure import open_session
from engines.quantize_imported import quantize_imported

# Enough to tell the worst layers from the others.
TEXTS_PER_LAYER = 16


@dataclass(frozen=True)
class Quantized:
    """An INT8 engine, the layers of it that stayed FP32, and what was found of it."""

    model: onnx.ModelProto
    kept: tuple[Layer, ...]
    findings: Findings


def best_engine(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Examiner,
    told: Callable[[str], None],
) -> Quantized:
    """The engine with the fewest layers in FP32 that the gate passes.

    Where none passes with half of the layers kept, the last one tried, with its reasons: an
    engine that is FP32 for the most part is not worth its name.
    """
    told("quantizing")
    tried = _attempt(reference, layers, ranges, examiner, ())
    if tried.findings.verdict.passed or not _can_help(tried.findings):
        return tried
    told("refused by the gate; looking for the layers that INT8 hurts most")
    worst = worst_first(reference, layers, ranges, examiner)
    for count in _counts(len(layers) // 2):
        told(f"keeping {count} of {len(layers)} layers in FP32")
        tried = _attempt(reference, layers, ranges, examiner, tuple(worst[:count]))
        if tried.findings.verdict.passed:
            break
    return tried


def worst_first(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Examiner,
) -> list[Layer]:
    """The layers by how far each alone in INT8 moves the answers, the farthest first."""

    def error(layer: Layer) -> float:
        others = {other.name for other in layers} - {layer.name}
        alone = quantize_imported(reference, layers, ranges, others, words=False)
        return examiner.mean_change(open_session(alone), TEXTS_PER_LAYER)

    errors = {layer.name: error(layer) for layer in layers}
    return sorted(layers, key=lambda layer: -errors[layer.name])


def _attempt(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Examiner,
    kept: tuple[Layer, ...],
) -> Quantized:
    model = quantize_imported(reference, layers, ranges, {layer.name for layer in kept})
    return Quantized(model, kept, examiner.examine(open_session(model)))


def _can_help(findings: Findings) -> bool:
    """Whether precision is what the gate asked for: batch-mates and padding are no matter of it."""
    still = findings.invariance
    return still.largest_change <= still.limit and not still.labels_flipped


def _counts(most: int) -> Iterator[int]:
    """1, 2, 4, … and at last `most`."""
    count = 1
    while count < most:
        yield count
        count *= 2
    if most:
        yield most

"""Keeps the layers that suffer most from INT8 in FP32, until the gate passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import onnx

from engines.calibrate import ChannelRange
from engines.examiner import Findings
from engines.linear_layers import Layer
from engines.measure import Engine, open_session
from engines.quantize import Scheme
from engines.quantize_imported import quantize_imported

# Enough to tell the worst layers from the others.
TEXTS_PER_LAYER = 16


class Judge(Protocol):
    """Knows the unquantized graph's answers, and holds those of engines against them."""

    def examine(self, engine: Engine, /) -> Findings:
        """What an engine does to the answers, and what the gate says of it."""

    def mean_change(self, engine: Engine, texts: int, /) -> float:
        """Mean change of an answer over the first so many probes."""


@dataclass(frozen=True)
class Attempt:
    """What was found of an engine with so many layers in FP32."""

    kept: int
    engine_bytes: int
    findings: Findings


@dataclass(frozen=True)
class Quantized:
    """An INT8 engine, the layers of it that stayed FP32, and what was found of it.

    `tried` has all attempts in their order, of which this engine is the last.
    """

    model: onnx.ModelProto
    kept: tuple[Layer, ...]
    findings: Findings
    tried: tuple[Attempt, ...] = ()


def best_engine(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Judge,
    told: Callable[[str], None],
    scheme: Scheme | None = None,
    words: bool = True,
) -> Quantized:
    """The engine with the fewest layers in FP32 that the gate passes.

    Where none passes with half of the layers kept, the last one tried, with its reasons: an
    engine that is FP32 for the most part is not worth its name. `words`: whether the table of word
    embeddings becomes INT8 too.
    """
    told("quantizing")
    found = attempt(reference, layers, ranges, examiner, (), scheme, words)
    if found.findings.verdict.passed or not _can_help(found.findings):
        return found
    told("refused by the gate; looking for the layers that INT8 hurts most")
    worst = worst_first(reference, layers, ranges, examiner, scheme)
    for count in _counts(len(layers) // 2):
        told(f"keeping {count} of {len(layers)} layers in FP32")
        before = found.tried
        kept = tuple(worst[:count])
        found = attempt(reference, layers, ranges, examiner, kept, scheme, words)
        found = replace(found, tried=(*before, *found.tried))
        if found.findings.verdict.passed:
            break
    return found


def worst_first(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Judge,
    scheme: Scheme | None = None,
) -> list[Layer]:
    """The layers by how far each alone in INT8 moves the answers, the farthest first."""

    def error(layer: Layer) -> float:
        others = {other.name for other in layers} - {layer.name}
        alone = quantize_imported(reference, layers, ranges, others, False, scheme)
        return examiner.mean_change(open_session(alone), TEXTS_PER_LAYER)

    errors = {layer.name: error(layer) for layer in layers}
    return sorted(layers, key=lambda layer: -errors[layer.name])


def attempt(
    reference: onnx.ModelProto,
    layers: Sequence[Layer],
    ranges: Mapping[str, ChannelRange],
    examiner: Judge,
    kept: tuple[Layer, ...] = (),
    scheme: Scheme | None = None,
    words: bool = True,
) -> Quantized:
    """The engine with just these layers in FP32, and what is found of it."""
    names = {layer.name for layer in kept}
    model = quantize_imported(reference, layers, ranges, names, words, scheme)
    findings = examiner.examine(open_session(model))
    return Quantized(model, kept, findings, (Attempt(len(kept), model.ByteSize(), findings),))


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

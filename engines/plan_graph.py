"""The graph that TensorRT is given: padding run, FP16, and where asked for INT8 by its rules.

ONNX Runtime reads the same file, so that the gate judges it before anything is built of it.
"""

from __future__ import annotations

from dataclasses import replace

from engines import gate
from engines.half_precision import in_half
from engines.measure import open_session
from engines.padded_graph import keeping_padding
from engines.quantize_subject import Subject
from engines.quantizing import Told, calibrated
from engines.runtime_options import Precision
from engines.sensitivity import Quantized, best_engine
from engines.symmetric import SCHEME, by_producer, signed, symmetric_ranges
from engines.tensorrt_rules import check_tensorrt_rules

SCHEMES = {Precision.FP16: "FP16 throughout; nothing is quantized", Precision.INT8: SCHEME}


def plan_graph(subject: Subject, precision: Precision, told: Told) -> Quantized:
    """A model's graph for TensorRT, and what the gate found of it in ONNX Runtime.

    Raises:
        EngineError: the gate refuses it, it has no FP16 form, or it breaks a rule of TensorRT's.
    """
    padded = replace(subject, reference=keeping_padding(subject.reference))
    if precision is Precision.INT8:
        found = _in_int8(padded, told)
        gate.require(subject.name, found.findings.verdict)
        model, kept, tried = in_half(signed(found.model)), found.kept, found.tried
    else:
        model, kept, tried = in_half(padded.reference), (), ()
    check_tensorrt_rules(model)
    told("asking the graph, by ONNX Runtime")
    findings = subject.judge.examine(open_session(model))
    gate.require(subject.name, findings.verdict)
    return Quantized(model, kept, findings, tried)


def _in_int8(subject: Subject, told: Told) -> Quantized:
    told("calibrating")
    ready = calibrated(subject)
    # A table of words in INT8 would be looked up without being dequantized first, which it may not.
    return best_engine(
        subject.reference, ready.layers, symmetric_ranges(ready.ranges), subject.judge, told,
        by_producer, words=False,
    )  # fmt: skip

"""An engine for a GPU that this machine has not: judged here, measured by nobody yet.

ONNX Runtime runs its graph on processors too, where it computes in FP32 what has no FP16 there. So
the gate sees what FP16 did to the weights and what attention as one operator does. That the GPU
adds up in another order, and in FP16, it does not see: measure there before you rely on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engines.errors import EngineError
from engines.measure import Engine, open_session
from engines.runtimes import Candidate
from engines.sensitivity import Judge
from engines.tune_choose import fitted_line
from engines.tune_gate import judged
from engines.tune_report import Tuned
from engines.tune_subject import Subject

FOR_GPU = Candidate("onnxruntime", "FP16", threads=1, instances=1)
NO_GPU = "no GPU, not measured"


def judged_alone(
    subject: Subject,
    folder: Path,
    judge: Judge,
    told: Callable[[str], None],
    notes: Sequence[str],
) -> Tuned:
    """What tuning writes of the engine for a GPU, without figures of its own.

    Admission starts from what the INT8 engine takes on the machine that built it, which is more,
    and learns from the first calls.

    Args:
        subject: the version that is served.
        folder: with the graph for the GPU.
        judge: holds engines against the unquantized one.
        told: hears what is being done.
        notes: lines on the graph, to be shown.

    Raises:
        EngineError: the gate refuses it, or the card has no times.
    """
    timings = subject.card.timings
    if not timings:
        raise EngineError(
            f"the card of {subject.name} has no times to begin with; build it anew, or tune it on "
            "the machine with the GPU"
        )

    def on_processor(path: Path, backend: str, precision: str) -> Engine:
        session: Engine = open_session(path)
        return session

    asked = judged([FOR_GPU], folder, judge, told, on_processor)
    overhead_ms, ms_per_token = fitted_line(
        [(timing.batch * timing.tokens, timing.p50_ms) for timing in timings]
    )
    return Tuned(
        name=subject.name,
        version=subject.card.version,
        lengths="",
        measurements=[],
        verdicts=asked.verdicts,
        winner=FOR_GPU,
        line_overhead_ms=overhead_ms,
        line_ms_per_token=ms_per_token,
        left_out=tuple(notes),
        gpu=NO_GPU,
    )

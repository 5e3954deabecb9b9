"""The gate for candidates: the same limits as for a build, asked of every runtime's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    NotImplemented,
    RuntimeException,
)

from core.card import Verdict
from engines.errors import EngineError
from engines.measure import Engine
from engines.runtimes import Candidate, open_engine
from engines.sensitivity import Judge

# What the runtimes raise for a graph that they have no kernels for; OpenVINO's is a RuntimeError.
UNABLE = (RuntimeError, Fail, InvalidArgument, InvalidGraph, NotImplemented, RuntimeException)
LONGEST_REASON = 200


class Judged(NamedTuple):
    """The gate's verdict on each candidate that runs, and a line for each runtime that cannot."""

    verdicts: dict[Candidate, Verdict]
    left_out: tuple[str, ...]


def judged(
    candidates: Sequence[Candidate],
    folder: Path,
    judge: Judge,
    told: Callable[[str], None] = lambda text: None,
    opened: Callable[[Path, str, str], Engine] = open_engine,
) -> Judged:
    """Ask the gate of every candidate.

    Answers depend on runtime and precision only, so each pair is asked once, with all cores.
    `opened` loads an engine file for a runtime and a precision.

    Raises:
        EngineError: none of them passes; with the reasons, and before anything is measured.
    """
    found: dict[tuple[str, str], Verdict] = {}
    unable: dict[tuple[str, str], str] = {}
    for candidate in candidates:
        pair = candidate.backend, candidate.precision
        if pair in found or pair in unable:
            continue
        told(f"gate: {' '.join(pair)}")
        try:
            engine = opened(folder / candidate.engine_file, *pair)
            found[pair] = judge.examine(engine).verdict
        except UNABLE as error:
            unable[pair] = (
                f"{' '.join(pair)} is left out, it cannot run this engine: {brief(error)}"
            )
    verdicts = {
        each: found[each.backend, each.precision]
        for each in candidates
        if (each.backend, each.precision) in found
    }
    if not any(verdict.passed for verdict in verdicts.values()):
        refused = [
            f"{' '.join(pair)}: {'; '.join(verdict.reasons)}" for pair, verdict in found.items()
        ]
        raise EngineError(
            "the gate refuses every candidate, and the model is left as it was. "
            f"{'. '.join([*refused, *unable.values()])}"
        )
    return Judged(verdicts, tuple(unable.values()))


def brief(error: Exception) -> str:
    """What a runtime says, in a line."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"

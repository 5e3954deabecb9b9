"""An engine opened as it is served, with its runtime's own profiler looking on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from engines.errors import EngineError
from engines.measure import Engine
from engines.onnxruntime_trace import read_rounds
from engines.operator_groups import FLOAT_PRODUCTS, IN_INT8, group_of
from engines.runtimes import Candidate, open_engine
from engines.spans import Round, Span

WHOLE_MICROSECONDS = (
    "ONNX Runtime counts whole microseconds and drops the rest: of every node up to one counts as "
    "time between operators."
)
NO_GRAPHS = (
    " With the profiler no CUDA graphs are used, because a call that is replayed has no operators: "
    "on a GPU more than the profiler makes it slower."
)


class Profiled(Protocol):
    """An engine whose runtime looks on while it runs.

    `placed` says whether it tells when a node ran, and not only for how long.
    """

    engine: Engine
    placed: bool
    note: str

    def warmed_up(self, runs: int) -> None:
        """So many runs were made, and do not count."""

    def rounds(self, runs: int) -> list[Round]:
        """The so many runs since; each the mean of all, where only that is known. Ends it."""


class OnnxRuntimeProfile:
    """A session that writes its profile into a folder."""

    placed = True

    def __init__(self, path: Path, candidate: Candidate, folder: Path) -> None:
        self.note = WHOLE_MICROSECONDS + (NO_GRAPHS if candidate.on_gpu else "")
        self.engine = open_engine(
            path, candidate.backend, candidate.precision, candidate.threads, folder / "profile"
        )
        self._warm_runs = 0

    def warmed_up(self, runs: int) -> None:
        """So many runs were made, and do not count."""
        self._warm_runs = runs

    def rounds(self, runs: int) -> list[Round]:
        """The so many runs since.

        Raises:
            EngineError: the profile lacks some.
        """
        session: Any = self.engine
        found = read_rounds(Path(session.end_profiling()))
        if len(found) != self._warm_runs + runs:
            raise EngineError(
                f"ONNX Runtime's profile holds {len(found)} of {self._warm_runs + runs} runs: it "
                "takes a million events; ask for fewer --runs"
            )
        return found[self._warm_runs :]


class OpenVinoProfile:
    """A compiled engine that counts how long its nodes take."""

    placed = False
    note = (
        "OpenVINO says how long each node takes in the mean, in whole microseconds, and not when: "
        "the timeline has them one after the other, in OpenVINO's order. Nodes that take less than "
        "one are not among them."
    )

    def __init__(self, path: Path, candidate: Candidate) -> None:
        self.engine = open_engine(
            path, candidate.backend, candidate.precision, candidate.threads, path
        )
        self._warm_runs = 0
        self._warm_us: dict[str, float] = {}

    def warmed_up(self, runs: int) -> None:
        """So many runs were made, and do not count."""
        self._warm_runs = runs
        self._warm_us = {name: mean_us for name, _, mean_us in self._nodes()}

    def rounds(self, runs: int) -> list[Round]:
        """The so many runs since, each the mean of all."""
        at_us = 0.0
        spans = []
        for name, kind, mean_us in self._nodes():
            # Its means are over all runs, and the first of a shape takes far longer.
            warm_us = self._warm_us.get(name, 0.0) * self._warm_runs
            length_us = max(0.0, (mean_us * (self._warm_runs + runs) - warm_us) / runs)
            spans.append(Span(name, kind, at_us, length_us))
            at_us += length_us
        return [Round(0.0, at_us, tuple(spans))] * runs

    def _nodes(self) -> list[tuple[str, str, float]]:
        """Name, kind and mean microseconds of each node that runs."""
        engine: Any = self.engine
        return [
            (
                node.node_name,
                _kind(node.node_type, node.exec_type),
                node.real_time.total_seconds() * 1e6,
            )
            for node in engine.node_times()
        ]


def open_profiled(path: Path, candidate: Candidate, folder: Path) -> Profiled:
    """Open an engine file as it is served, with a profiler.

    Args:
        path: the engine file.
        candidate: how it is served.
        folder: for what the profiler writes.

    Raises:
        EngineError: there is no profiler for its runtime.
    """
    if candidate.backend == "onnxruntime":
        return OnnxRuntimeProfile(path, candidate, folder)
    if candidate.backend == "openvino":
        return OpenVinoProfile(path, candidate)
    raise EngineError(
        f"{path} is served by {candidate.backend}, which is not profiled here: only engines of "
        "onnxruntime and openvino are"
    )


def _kind(node_type: str, exec_type: str) -> str:
    in_int8 = exec_type.upper().endswith(("_I8", "_U8"))
    return node_type + IN_INT8 if in_int8 and group_of(node_type) == FLOAT_PRODUCTS else node_type

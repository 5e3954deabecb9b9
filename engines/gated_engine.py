"""What `sub50 engines gate` asks of a version: what is served, or where that cannot be, its graph.

What is served is the file, runtime and precision that tuning chose, or a TensorRT plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.card import ENGINE_FILE, EngineCard, Plan
from engines.errors import EngineError, PlanError
from engines.evaluated_engine import loading
from engines.measure import Engine, open_session
from engines.plan_here import open_plan, require_plan_runs, served_plan
from engines.runtimes import open_engine, require_runs
from engines.served_way import served_way

RUNTIMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
PROCESSOR = "the processor"


@dataclass(frozen=True)
class GatedEngine:
    """What is asked. `ran` says which file it is, what runs it and on what; `not_run` why that is
    not what is served, and `served` what is."""

    open: Callable[[], Engine]
    ran: str
    not_run: str | None = None
    served: str = ""


def gated_engine(card: EngineCard, folder: Path) -> GatedEngine:
    """What the gate asks of a version folder.

    Where what is served cannot be run here, that is its graph, by ONNX Runtime on the processor:
    what FP16 and INT8 did to the weights shows there, what another runtime or the GPU makes of it
    does not.

    Raises:
        EngineError: the file that is served is not there, or config.pbtxt is no model's.
    """
    return _onnx(card, folder) if card.plan is None else _plan(card, card.plan, folder)


def _onnx(card: EngineCard, folder: Path) -> GatedEngine:
    way = served_way(card, folder)
    path = folder / way.engine_file
    if not path.is_file():
        raise EngineError(
            f"{folder} lacks {path.name}, which it is served by; tune it again with `sub50 engines "
            f"tune {card.name}`, or go back to {ENGINE_FILE} with `--reset`"
        )
    if card.tuning is None and (way.backend, way.precision) == ("onnxruntime", "INT8"):
        return _graph(path)
    by = f"by {RUNTIMES[way.backend]} in {way.precision}"
    try:
        gpu = require_runs(way)
        with loading(folder):
            engine = open_engine(path, way.backend, way.precision, way.threads)
    except EngineError as error:
        return _graph(path, " ".join(str(error).split()), f"what is served, {path.name} {by},")
    return GatedEngine(lambda: engine, f"{path.name}, {by} on {gpu.name if gpu else PROCESSOR}")


def _plan(card: EngineCard, plan: Plan, folder: Path) -> GatedEngine:
    try:
        gpu = require_plan_runs(card)
    except PlanError as error:
        return _graph(folder / ENGINE_FILE, str(error), "the plan itself")
    file = served_plan(card)
    ran = f"{file}, by TensorRT {plan.tensorrt} on {gpu.name}"
    return GatedEngine(lambda: open_plan(folder / file), ran)


def _graph(path: Path, not_run: str | None = None, served: str = "") -> GatedEngine:
    def opened() -> Engine:
        with loading(path.parent):
            session: Engine = open_session(path)
        return session

    return GatedEngine(opened, f"{path.name}, by ONNX Runtime on {PROCESSOR}", not_run, served)

"""What `sub50 engines gate` asks of a version: a plan where it can be run, or its graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.card import ENGINE_FILE, EngineCard
from engines.errors import PlanError
from engines.measure import Engine, open_session
from engines.plan_here import open_plan, require_plan_runs, served_plan

ON_PROCESSOR = f"{ENGINE_FILE}, by ONNX Runtime on the processor"


@dataclass(frozen=True)
class GatedEngine:
    """What is asked. `ran` says which file it is, what runs it and on what; `not_run` why the plan,
    which is what is served, is not asked."""

    open: Callable[[], Engine]
    ran: str
    not_run: str | None = None


def gated_engine(card: EngineCard, folder: Path) -> GatedEngine:
    """What the gate asks of a version folder.

    Of a plan that cannot be run here, that is the graph that it was built of: what FP16 and INT8
    did to the weights shows there, what TensorRT and the GPU make of it does not.
    """

    def graph() -> Engine:
        session: Engine = open_session(folder / ENGINE_FILE)
        return session

    if card.plan is None:
        return GatedEngine(graph, ON_PROCESSOR)
    try:
        gpu = require_plan_runs(card)
    except PlanError as error:
        return GatedEngine(graph, ON_PROCESSOR, str(error))
    file = served_plan(card)
    ran = f"{file}, by TensorRT {card.plan.tensorrt} on {gpu.name}"
    return GatedEngine(lambda: open_plan(folder / file), ran)

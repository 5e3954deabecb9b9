"""Opens a TensorRT plan where it can be run: with the GPU and the TensorRT that it was built for.

Whatever is said of a plan's answers or times is read of the plan. Where it cannot be run, the error
says so, and nobody takes the figures of another file for its own.
"""

from __future__ import annotations

from pathlib import Path

from core.card import PLAN_FILE, EngineCard, read_card
from core.plan import Target, unfit
from engines.errors import GpuNotUsable, PlanError
from engines.gpu import Gpu, gpu_for_tensorrt, tensorrt_installed
from engines.plan_shapes import Profile
from engines.plan_target import HERE
from engines.tensorrt_calls import PlanEngine


def served_plan(card: EngineCard) -> str:
    """The name of the plan that a version is served by: as built, or what tuning laid beside it."""
    return card.tuning.engine_file if card.tuning else PLAN_FILE


def require_plan_runs(card: EngineCard) -> Gpu:
    """The GPU of this machine, which a version's plans were built for.

    Raises:
        PlanError: there is none, TensorRT is missing, or one of them is another than the plan's;
            says what was found, what is needed, and what to do.
    """
    assert card.plan is not None
    which = (
        f"version {card.version} of {card.name} is a TensorRT plan for {card.plan.gpu}, and cannot "
        "be run here"
    )
    try:
        gpu = gpu_for_tensorrt()
    except GpuNotUsable as error:
        raise PlanError(f"{which}: {error}") from error
    installed = tensorrt_installed()
    here = Target(HERE, gpu.name, gpu.compute_capability, installed[0] if installed else None)
    if faults := unfit(card.plan, here):
        raise PlanError(f"{which}: {'; '.join(faults)}")
    return gpu


def open_plan(path: Path) -> PlanEngine:
    """A plan of a version folder, run by the profiles that the card beside it says.

    Raises:
        PlanError: TensorRT does not take it, or the card is no plan's.
        GpuNotUsable: TensorRT is missing, or the driver opens no GPU.
    """
    card = read_card(path.parent)
    if card.plan is None:
        raise PlanError(f"{path.parent} has the card of an engine that is no plan; build it anew")
    return PlanEngine(path.read_bytes(), [Profile(*each) for each in card.plan.profiles])

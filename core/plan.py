"""Whether a TensorRT plan can run where it is to be served.

TensorRT takes a plan that was built by the very same version, for the same kind of GPU. Triton
would say so too, but only once it tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from core.card import EngineCard, Plan
from core.gpu import numbers

TENSORRT: Final = "tensorrt"
HOW = "with `sub50 engines build` or `import` and `--runtime tensorrt`, where it is to be served"


@dataclass(frozen=True)
class Target:
    """Where a plan is to be served; `where` is it for people. What is None is not compared."""

    where: str
    gpu: str | None
    compute_capability: str | None
    tensorrt: str | None


def of_version(served: EngineCard) -> Target | None:
    """Where the version that serves was built for; None where it is no plan."""
    plan = served.plan
    if plan is None:
        return None
    where = f"version {served.version}, which serves,"
    return Target(where, plan.gpu, plan.compute_capability, plan.tensorrt)


def plan_conflicts(candidate: EngineCard, target: Target | None) -> list[str]:
    """Why a version cannot be served where another is; empty where it can.

    Args:
        candidate: the card of the version.
        target: what runs there, None for a runtime that reads ONNX.
    """
    if candidate.plan is None:
        if target is None:
            return []
        return [f"it is no TensorRT plan, and {target.where} is one; build it {HOW}"]
    if target is None:
        return [
            f"it is a TensorRT plan for {candidate.plan.gpu}, and what is served here is ONNX, run "
            "by another backend; keep plans in a repository of their own"
        ]
    return unfit(candidate.plan, target)


def unfit(plan: Plan, target: Target) -> list[str]:
    """What keeps a plan from running on a target; empty where nothing does."""
    found = []
    if target.gpu is not None and target.gpu != plan.gpu:
        found.append(f"its plan was built for {plan.gpu}, {target.where} has {target.gpu}")
    elif target.compute_capability not in (None, plan.compute_capability):
        found.append(
            f"its plan was built for compute capability {plan.compute_capability}, {target.where} "
            f"has {target.compute_capability}"
        )
    if target.tensorrt is not None and not _same_version(target.tensorrt, plan.tensorrt):
        found.append(
            f"its plan was built by TensorRT {plan.tensorrt}, {target.where} has {target.tensorrt}"
        )
    return [*found[:-1], f"{found[-1]}; build it {HOW}"] if found else []


def _same_version(one: str, other: str) -> bool:
    """Whether two versions are the same, as far as both are written: 11.4.1 is 11.4.1.9."""
    ours, theirs = numbers(one), numbers(other)
    length = max(3, min(len(ours), len(theirs)))
    return ours[:length] == theirs[:length]

"""The card of a TensorRT plan: what was found of the plan itself, on its GPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.card import PLAN_FILE, EngineCard, Plan, Timing
from core.plan import TENSORRT
from engines.checksums import file_sha256, value_sha256
from engines.examiner import Findings
from engines.gpu import Gpu
from engines.import_record import scheme_notes
from engines.plan_graph import SCHEMES
from engines.plan_shapes import Profile
from engines.runtime_options import Precision
from engines.sensitivity import Quantized


def plan_fields(
    folder: Path, gpu: Gpu, tensorrt: str, found: Sequence[Profile], memory_bytes: int | None
) -> Plan:
    """What a card says of the plan that lies in `folder`."""
    path = folder / PLAN_FILE
    return Plan(
        plan_sha256=file_sha256(path),
        plan_bytes=path.stat().st_size,
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        driver=gpu.driver,
        tensorrt=tensorrt,
        gpu_memory_bytes=memory_bytes,
        profiles=[
            [each.least_tokens, each.tokens, each.best_texts, each.most_texts] for each in found
        ],
    )


def plan_card(
    card: EngineCard,
    plan: Plan,
    precision: Precision,
    graph: Quantized,
    findings: Findings,
    timings: list[Timing],
) -> EngineCard:
    """The card of a plan.

    Args:
        card: that of the graph it was built of, as ONNX Runtime runs it.
        plan: what it is.
        precision: what it multiplies in.
        graph: with the layers that were kept out of INT8.
        findings: what the gate found of the plan, run by TensorRT.
        timings: of the plan, on its GPU.
    """
    drift = card.drift
    notes = [
        f"its graph, run by ONNX Runtime: change {drift.mean_change:.4f}, "
        f"{drift.largest_change:.4f}, {drift.labels_changed} labels",
        *(scheme_notes(graph) if precision is Precision.INT8 else ()),
    ]
    changes = {
        "backend": TENSORRT,
        "precision": precision.upper(),
        "scheme": SCHEMES[precision],
        "scheme_notes": notes,
        "recipe_sha256": value_sha256([card.recipe_sha256, precision, plan.plan_sha256]),
        "tools": card.tools | {"tensorrt": plan.tensorrt},
        "machine": f"{plan.gpu}, driver {plan.driver}; {card.machine}",
        "memory_bytes": None,
        "drift": findings.drift,
        "invariance": findings.invariance,
        "accuracy": findings.accuracy,
        "timings": timings,
        "gate": findings.verdict,
        "plan": plan,
    }
    return card.model_copy(update=changes)

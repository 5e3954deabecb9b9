"""The plans of a version: what it was built as, and one of the other precision beside it."""

from __future__ import annotations

from core.card import PLAN_FILE, EngineCard

# What tuning calls a plan that it lays beside the one that was built.
PLAN_FILES = {"FP16": "model.fp16.plan", "INT8": "model.int8.plan"}
OTHER = {"FP16": "INT8", "INT8": "FP16"}


def built_precision(card: EngineCard) -> str:
    """What the plan multiplies in that a version was built as, whichever it is served by."""
    if card.tuning is None or card.tuning.engine_file == PLAN_FILE:
        return card.precision
    return OTHER[card.precision]

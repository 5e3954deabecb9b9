"""Decides whether an engine may be served."""

from __future__ import annotations

from collections.abc import Sequence

from core.card import Accuracy, Drift, Invariance, Verdict
from engines.errors import GateError

LARGEST_ACCURACY_DROP = 0.01
INVARIANCE_LIMIT = 2e-3
# Without labelled data: INT8 moves scores by well under this on average, a broken graph by more.
LARGEST_MEAN_CHANGE = 0.05


def judge(drift: Drift, invariance: Invariance, accuracy: Sequence[Accuracy]) -> Verdict:
    """The verdict, with a reason for every limit that is passed."""
    reasons = []
    # Written so that a NaN, which compares false with everything, is refused.
    if not drift.mean_change <= LARGEST_MEAN_CHANGE:
        reasons.append(
            f"answers change by {drift.mean_change:.4f} on average against the unquantized "
            f"graph; at most {LARGEST_MEAN_CHANGE} is allowed"
        )
    if not invariance.largest_change <= INVARIANCE_LIMIT:
        reasons.append(
            f"answers move by {invariance.largest_change:.4f} with batch-mates or padding; "
            f"at most {INVARIANCE_LIMIT} is allowed"
        )
    if invariance.labels_flipped:
        reasons.append(f"{invariance.labels_flipped} labels flip with batch-mates or padding")
    for figures in accuracy:
        drop = figures.reference_accuracy - figures.accuracy
        if not drop <= LARGEST_ACCURACY_DROP:
            reasons.append(
                f"accuracy on {figures.data} drops by {100 * drop:.1f} points to "
                f"{100 * figures.accuracy:.1f} %; at most "
                f"{100 * LARGEST_ACCURACY_DROP:.0f} point is allowed"
            )
    return Verdict(passed=not reasons, reasons=reasons)


def require(name: str, verdict: Verdict) -> None:
    """Raise GateError, with the reasons, unless the verdict is a pass."""
    if not verdict.passed:
        raise GateError(
            f"the gate refuses engine {name}: {'; '.join(verdict.reasons)}. "
            "The engine that was served before is still in place; change how this one is "
            "trained or quantized"
        )

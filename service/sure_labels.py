"""Labels of two engines compared, where the engine that serves is sure of its own.

A label that hangs in the balance may fall to either side, of two equally good engines too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.card import EngineCard
from core.scores import DEFAULT_THRESHOLD, sigmoid, softmax

Floats = npt.NDArray[np.float32]

# From here on the served version counts as sure of a label.
SURE_PROBABILITY = 0.75
SURE_DISTANCE = 0.25


def changed_labels(
    served: EngineCard, candidate: EngineCard, expected: Sequence[Floats], found: Sequence[Floats]
) -> tuple[int, int]:
    """How many labels of which the served engine is sure were compared, and how many differ.

    `expected` and `found` are the outputs of both for each text, float32 of shape (width,).
    """
    if served.output == "embedding" or len(served.labels) < 2:  # numbers, not labels
        return 0, 0
    if served.problem_type == "multi_label":
        before, after = _decisions(served, expected), _decisions(candidate, found)
        sure = before[1]
        return int(sure.sum()), int((before[0] != after[0])[sure].sum())
    compared = changed = 0
    for old, new in zip(expected, found, strict=True):
        if softmax(old).max() >= SURE_PROBABILITY:
            compared += 1
            changed += served.labels[int(old.argmax())] != candidate.labels[int(new.argmax())]
    return compared, changed


def _decisions(
    card: EngineCard, outputs: Sequence[Floats]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Whether each label is given, and whether that is sure, both bool of (texts, labels)."""
    limits = np.array(card.thresholds or [DEFAULT_THRESHOLD] * len(card.labels))
    above = sigmoid(np.stack(outputs)) - limits
    return above > 0, np.abs(above) >= SURE_DISTANCE

"""What logits mean: probabilities of one label, of several, or a value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# With several labels to a text, one is given from here on where a card says nothing else.
DEFAULT_THRESHOLD = 0.5


def scores_of(logits: Floats, problem_type: str) -> Floats:
    """Scores as the kind of problem has them; same shape and dtype. A regression's are its values.

    Args:
        logits: float32 (texts, labels).
        problem_type: `single_label`, `multi_label` or `regression`, as in a card.
    """
    if problem_type == "regression":
        return logits
    return sigmoid(logits) if problem_type == "multi_label" else softmax(logits)


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis, same shape and dtype; sums to 1 (stable for any size)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: Floats) -> Floats:
    """Independent probabilities, same shape and dtype (stable for any size)."""
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result

"""Logits to probabilities."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def softmax(logits: Floats) -> Floats:
    """Probabilities over the last axis, same shape and dtype; sums to 1 (stable for any size)."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: Floats) -> Floats:
    """Independent probabilities, same shape and dtype (stable for any size)."""
    result: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return result

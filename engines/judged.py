"""How right a network's answers are on labelled texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.measure import macro_f1
from engines.temperature import mean_nll


@dataclass(frozen=True)
class Judged:
    """Shares of 1; `loss` is the mean negative log likelihood of the right label."""

    accuracy: float
    macro_f1: float
    loss: float


def judge(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Judged:
    """Judge logits, float32 (texts, labels), by the right labels, int64 (texts,)."""
    predicted = logits.argmax(axis=1)
    return Judged(
        accuracy=float(np.mean(predicted == labels)),
        macro_f1=macro_f1(labels, predicted, logits.shape[1]),
        loss=mean_nll(logits, labels),
    )

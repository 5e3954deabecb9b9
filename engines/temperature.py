"""How far scores can be believed, and one number that mends most of it.

A network's scores come out too sure, or, trained with smoothed labels, too unsure. Dividing its
logits by one temperature mends that and changes no label (Guo et al. 2017, arXiv:1706.04599).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.scores import softmax
from engines.quality import calibration

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

# With every text right the best temperature is 0, and with chance scores it has no bound.
COLDEST, HOTTEST = 0.2, 5.0
# Fewer say more about chance than about the network.
LEAST_TEXTS = 40
HALVINGS = 40
FEW_TEXTS = f"fewer than {LEAST_TEXTS} validation texts"
NO_GAIN = "one fitted on half of the validation texts made the others no likelier"


@dataclass(frozen=True)
class Calibration:
    """The temperature, and what it does to texts that it was not fitted on.

    Attributes:
        temperature: 1 leaves the scores as they are.
        texts: how many it was fitted on and judged with.
        error_before: expected calibration error of the scores as trained, 15 bins.
        error_after: the same with temperatures fitted on the other half of the texts.
        nll_before: mean negative log likelihood of the right label, likewise.
        nll_after: likewise.
        note: why the temperature is 1 if it was not fitted, or else nothing.
    """

    temperature: float
    texts: int
    error_before: float
    error_after: float
    nll_before: float
    nll_after: float
    note: str = ""

    def record(self) -> dict[str, Any]:
        """For a card."""
        return asdict(self)


def calibrate(logits: Floats, labels: Labels, seed: int) -> Calibration:
    """Fit a temperature and judge it, without ever judging one on the texts that set it.

    Each half of the texts is judged with the temperature that the other half gives (two-fold
    cross-fitting); the one that is kept is fitted on all. Where it does not help, it is 1.

    Args:
        logits: float32 (texts, labels), of texts that were not trained on.
        labels: the right label of each, int64 (texts,).
        seed: decides the halves.
    """
    before = expected_calibration_error(softmax(logits), labels)
    nll_before = mean_nll(logits, labels)
    unchanged = Calibration(1.0, len(labels), before, before, nll_before, nll_before)
    if len(labels) < LEAST_TEXTS:
        return _noted(unchanged, FEW_TEXTS)
    order = np.random.default_rng(seed).permutation(len(labels))
    judged = logits.copy()
    for fitted, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        judged[other] /= np.float32(fit_temperature(logits[fitted], labels[fitted]))
    nll_after = mean_nll(judged, labels)
    if not nll_after < nll_before:
        return _noted(unchanged, NO_GAIN)
    return Calibration(
        temperature=fit_temperature(logits, labels),
        texts=len(labels),
        error_before=before,
        error_after=expected_calibration_error(softmax(judged), labels),
        nll_before=nll_before,
        nll_after=nll_after,
    )


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature between 0.2 and 5 that makes the right labels likeliest.

    The likelihood is convex in one over the temperature, so its slope has one zero, which halving
    finds.
    """
    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(logits, labels, float(np.exp(middle))) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def expected_calibration_error(scores: Floats, labels: Labels) -> float:
    """Mean distance of the best score from the share of right labels; see engines/quality.py.

    Args:
        scores: probabilities, float32 (texts, labels).
        labels: the right label of each, int64 (texts,).
    """
    return calibration(scores.max(axis=1), scores.argmax(axis=1) == labels).error


def mean_nll(logits: Floats, labels: Labels) -> float:
    """Mean negative log likelihood of the right labels."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sum - shifted[np.arange(len(labels)), labels]).mean())


def _slope(logits: Floats, labels: Labels, inverse: float) -> float:
    """Of the mean negative log likelihood, by the inverse of the temperature."""
    scores = softmax((logits * np.float32(inverse)).astype(np.float32))
    right = logits[np.arange(len(labels)), labels]
    return float(((scores * logits).sum(axis=1) - right).mean())


def _noted(calibration: Calibration, note: str) -> Calibration:
    return Calibration(**{**asdict(calibration), "note": note})

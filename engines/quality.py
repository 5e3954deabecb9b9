"""How right answers are: accuracy, F1, confusion, and whether scores mean what they say.

The calibration error is that of Guo et al. 2017 (arXiv:1706.04599), with 15 bins of equal width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.evaluation_record import Bin, Calibration, LabelQuality, LengthQuality
from engines.measure import Floats, Labels

BINS = 15
# The last bound of each range of lengths, in tokens.
LENGTHS = (16, 32, 64, 128, 512)
NORMAL_QUANTILE_95 = 1.959964


def wilson_interval(right: float, rows: int) -> tuple[float, float]:
    """95 % interval of a share that was found to be `right` in `rows` independent rows."""
    z = NORMAL_QUANTILE_95
    middle = (right + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(right * (1 - right) / rows + (z / (2 * rows)) ** 2)
    low = 0.0 if right == 0 else middle - half
    return low, 1.0 if right == 1 else middle + half


def label_qualities(
    expected: Labels, given: Labels, names: Sequence[str]
) -> tuple[list[LabelQuality], float]:
    """Each label's precision, recall and F1, and the mean F1.

    A label that is neither expected nor given has an F1 of 0, and counts.

    Args:
        expected: bool (texts, labels).
        given: bool (texts, labels).
        names: of the labels.
    """
    found = []
    for index, name in enumerate(names):
        rows, named = int(expected[:, index].sum()), int(given[:, index].sum())
        right = int((expected[:, index] & given[:, index]).sum())
        found.append(
            LabelQuality(
                label=name,
                rows=rows,
                given=named,
                right=right,
                precision=right / named if named else 0.0,
                recall=right / rows if rows else 0.0,
                f1=2 * right / (rows + named) if rows + named else 0.0,
            )
        )
    return found, float(np.mean([each.f1 for each in found]))


def confusion(expected: Labels, given: Labels) -> list[list[int]]:
    """Counts by true label (row) and given label (column), for one label to a text."""
    counts: NDArray[np.int64] = expected.T.astype(np.int64) @ given.astype(np.int64)
    return [[int(count) for count in row] for row in counts]


def calibration(scores: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Expected calibration error and its bins.

    Args:
        scores: (decisions,), how sure each decision was, 0 to 1.
        right: (decisions,), whether it was right.
    """
    # A score on an edge belongs to the bin below, as in the paper.
    where = np.clip(np.ceil(scores.astype(np.float64) * BINS).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for index in range(BINS):
        chosen = where == index
        rows = int(chosen.sum())
        confidence = float(scores[chosen].mean()) if rows else 0.0
        share = float(right[chosen].mean()) if rows else 0.0
        error += rows / len(scores) * abs(share - confidence)
        bins.append(
            Bin(
                low=index / BINS,
                high=(index + 1) / BINS,
                rows=rows,
                confidence=confidence,
                accuracy=share,
            )
        )
    return Calibration(error=error, bins=bins)


def decisions(
    problem_type: str, scores: Floats, expected: Labels, given: Labels
) -> tuple[Floats, NDArray[np.bool_]]:
    """What calibration looks at: how sure each decision was, and whether it was right.

    With one label to a text that is the score of the label given; with several, each label's score
    and whether the text has it.
    """
    if problem_type == "multi_label":
        return scores.ravel(), expected.ravel()
    return scores.max(axis=1), (expected & given).any(axis=1)


def by_length(
    tokens: NDArray[np.int64], shares_right: NDArray[np.float64], limits: Sequence[int] = LENGTHS
) -> list[LengthQuality]:
    """Accuracy by the length of the text, ranges without texts left out.

    Args:
        tokens: (texts,).
        shares_right: (texts,), the share of each text's decisions that was right.
        limits: the last length of each range.
    """
    found = []
    for shortest, longest in zip((1, *(each + 1 for each in limits)), limits, strict=False):
        chosen = (tokens >= shortest) & (tokens <= longest)
        if chosen.any():
            found.append(
                LengthQuality(
                    shortest=shortest,
                    longest=longest,
                    rows=int(chosen.sum()),
                    accuracy=float(shares_right[chosen].mean()),
                )
            )
    return found


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value that two engines, right alone so often, are equally right."""
    tries = only_first + only_second
    if tries == 0:
        return 1.0
    tail = sum(math.comb(tries, hits) for hits in range(min(only_first, only_second) + 1))
    return min(1.0, float(2 * tail / 2**tries))

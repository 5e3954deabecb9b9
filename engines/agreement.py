"""How far raters agree beyond chance: Krippendorff's alpha for ratings with an order.

After Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). The one small package that
computes it is under the GPL, which does not go with this project's licence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.bootstrap import CONFIDENCE, RESAMPLES, SEED

Counts = NDArray[np.float64]

# Krippendorff's own limits: conclusions may be drawn from 0.8, tentative ones from 0.667.
RELIABLE, TENTATIVE = 0.8, 0.667


def ordinal_alpha(units: Sequence[Sequence[int]], most: int) -> float | None:
    """1 is perfect agreement, 0 chance, below 0 worse than chance.

    Args:
        units: what each unit was rated, 1 to `most`, by however many raters; units with fewer
            than two ratings say nothing of agreement and are left out.
        most: the highest rating.

    Returns:
        None where no unit has two ratings, or all ratings are the same: alpha has no value then.
    """
    return _alpha(_coincidences(units, most).sum(axis=0))


def alpha_interval(units: Sequence[Sequence[int]], most: int) -> tuple[float, float] | None:
    """The 95 % interval of `ordinal_alpha` from resampled units; None where it has no value."""
    each = _coincidences(units, most)
    if len(each) < 2:
        return None
    drawn = np.random.default_rng(SEED).integers(0, len(each), (RESAMPLES, len(each)))
    found = [value for rows in drawn if (value := _alpha(each[rows].sum(axis=0))) is not None]
    if len(found) < RESAMPLES / 2:
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def _coincidences(units: Sequence[Sequence[int]], most: int) -> Counts:
    """Pairs of ratings within each unit, weighted so that a unit counts its ratings.

    Returns:
        float64, shape (units with two ratings or more, most, most).
    """
    result = []
    for ratings in units:
        if len(ratings) > 1:
            counts = np.bincount(np.array(ratings) - 1, minlength=most).astype(np.float64)
            pairs = np.outer(counts, counts) - np.diag(counts)
            result.append(pairs / (len(ratings) - 1))
    return np.array(result) if result else np.zeros((0, most, most))


def _alpha(coincidences: Counts) -> float | None:
    totals = coincidences.sum(axis=0)
    count = totals.sum()
    # Two values are as far apart as there are ratings between their middles.
    middles = np.cumsum(totals) - totals / 2
    distances = (middles[:, None] - middles[None, :]) ** 2
    expected = (np.outer(totals, totals) * distances).sum()
    if count <= 1 or expected == 0:
        return None
    return float(1 - (count - 1) * (coincidences * distances).sum() / expected)

"""How sure a mean over documents (or sentences) is: percentile intervals from resampling them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000
CONFIDENCE = 0.95
SEED = 50


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike | None = None
) -> tuple[float, float] | None:
    """The 95 % interval of sum(numerators) / sum(denominators) over documents.

    Equal arguments give equal intervals. For the difference of two systems on the same documents,
    give the differences of their numerators: what makes a document hard for both then cancels.

    Args:
        numerators: one number a document, shape (documents,).
        denominators: the same; by default 1 each, for the mean.

    Returns:
        Low and high, or None where fewer than two documents have a denominator.
    """
    above = np.asarray(numerators, dtype=np.float64)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, np.float64)
    counted = below > 0
    above, below = above[counted], below[counted]
    if len(above) < 2:
        return None
    drawn = np.random.default_rng(SEED).integers(0, len(above), (RESAMPLES, len(above)))
    ratios = above[drawn].sum(axis=1) / below[drawn].sum(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)

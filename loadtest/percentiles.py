"""Exact percentiles of recorded times."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def percentile(values: NDArray[np.float64], percent: float) -> float:
    """The smallest value that `percent` of 100 of all do not exceed; NaN of none.

    No value is interpolated, so an infinite one (a miss) counts as it is: the P99 is under a
    budget exactly if at most one in a hundred is not.
    """
    if not values.size:
        return math.nan
    rank = max(math.ceil(round(percent / 100 * values.size, 9)), 1)
    return float(np.partition(values, rank - 1)[rank - 1])


def finite(value: float) -> float | None:
    """A figure for JSON, which has neither infinity nor NaN: null stands for both."""
    return value if math.isfinite(value) else None

"""A histogram as its buckets have it: differences, sums, percentiles and shares."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prometheus_client import Histogram

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Observations by bucket.

    `edges` are the finite upper edges, in order; `counts`, float64 of shape (edges + 1,), has the
    observations of each bucket alone, the last of them those above all edges. `total` is the sum of
    what was observed, in the unit of the edges.
    """

    edges: tuple[float, ...]
    counts: Floats
    total: float

    @classmethod
    def empty(cls, edges: tuple[float, ...]) -> Buckets:
        """Nothing observed."""
        return cls(edges, np.zeros(len(edges) + 1), 0.0)

    @classmethod
    def of(cls, series: Histogram) -> Buckets:
        """What one series has observed since its start; a series without labels, or one child."""
        (family,) = series.collect()
        buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
        total = next(s.value for s in family.samples if s.name.endswith("_sum"))
        edges = tuple(float(sample.labels["le"]) for sample in buckets[:-1])
        return cls(edges, np.diff([0.0, *(sample.value for sample in buckets)]), total)

    def __add__(self, other: Buckets) -> Buckets:
        return Buckets(self.edges, self.counts + other.counts, self.total + other.total)

    def __sub__(self, earlier: Buckets) -> Buckets:
        return Buckets(self.edges, self.counts - earlier.counts, self.total - earlier.total)

    @property
    def count(self) -> int:
        """Observations in all buckets."""
        return round(float(self.counts.sum()))

    def mean(self) -> float | None:
        """The exact mean; None of nothing."""
        return self.total / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """The value that a share `q`, above 0, does not exceed.

        It is interpolated as Prometheus' histogram_quantile does it: inside a bucket observations
        are taken to lie evenly. Above the last edge nothing is known, and the answer is that edge.
        None of nothing.
        """
        cumulative = np.cumsum(self.counts)
        rank = q * cumulative[-1]
        if not cumulative[-1]:
            return None
        found = int(np.searchsorted(cumulative, rank))
        if found >= len(self.edges):
            return self.edges[-1]
        lower = self.edges[found - 1] if found else 0.0
        below = float(cumulative[found - 1]) if found else 0.0
        part = (float(rank) - below) / float(self.counts[found])
        return lower + part * (self.edges[found] - lower)

    def over(self, limit: float) -> float | None:
        """Observations above `limit`: exact where it is an edge, else interpolated.

        None where that cannot be told: it lies above all edges, and so does an observation.
        """
        found = bisect.bisect_left(self.edges, limit)
        above = float(self.counts[found + 1 :].sum())
        if found == len(self.edges):
            return None if self.counts[found] else 0.0
        lower = self.edges[found - 1] if found else 0.0
        part = (self.edges[found] - limit) / (self.edges[found] - lower)
        return above + part * float(self.counts[found])

"""Percentiles and shares from buckets, held against the data that filled them."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from service.board.buckets import Buckets
from service.metrics import REQUEST_EDGES_SECONDS as EDGES


def observed(values: np.ndarray) -> Buckets:
    histogram = Histogram("h", "…", buckets=EDGES, registry=CollectorRegistry())
    for value in values:
        histogram.observe(value)
    return Buckets.of(histogram)


@pytest.fixture
def times() -> np.ndarray:
    return np.random.default_rng(7).lognormal(np.log(0.02), 0.6, 5000)


def test_counts_are_those_of_numpy(times: np.ndarray) -> None:
    buckets = observed(times)
    # le is inclusive, so the bins are closed above.
    bins = np.searchsorted(EDGES, times, side="left")
    assert buckets.counts.tolist() == np.bincount(bins, minlength=len(EDGES) + 1).tolist()
    assert buckets.count == 5000
    assert buckets.mean() == pytest.approx(times.mean())


@pytest.mark.parametrize("q", [0.01, 0.5, 0.9, 0.99])
def test_a_percentile_is_interpolated_and_lies_in_the_bucket_of_the_exact_one(
    times: np.ndarray, q: float
) -> None:
    buckets = observed(times)
    cumulative = np.cumsum(buckets.counts)[:-1]
    interpolated = np.interp(q * 5000, [0.0, *cumulative], [0.0, *EDGES])
    found = buckets.quantile(q)
    assert found == pytest.approx(interpolated)
    exact = float(np.quantile(times, q, method="inverted_cdf"))
    bucket = int(np.searchsorted(EDGES, exact))
    assert found is not None
    assert EDGES[bucket - 1] <= found <= EDGES[bucket]


def test_the_share_over_an_edge_is_exact(times: np.ndarray) -> None:
    times[:3] = 0.05  # within the promise
    assert observed(times).over(0.05) == (times > 0.05).sum()
    assert observed(times).over(0.001) == (times > 0.001).sum()


def test_the_share_over_what_is_no_edge_is_interpolated() -> None:
    buckets = observed(np.array([0.045, 0.055, 0.056, 0.057, 0.9]))
    assert buckets.over(0.055) == pytest.approx(1 + 3 / 2)
    assert observed(np.array([0.0004])).over(0.00025) == pytest.approx(0.75)


def test_above_the_last_edge_only_that_much_is_known() -> None:
    buckets = observed(np.array([0.01, 7.0, 8.0]))
    assert buckets.quantile(0.99) == EDGES[-1]
    assert buckets.over(20.0) is None
    assert buckets.over(EDGES[-1]) == 2
    assert observed(np.array([0.01])).over(20.0) == 0


def test_of_nothing_there_is_no_percentile_and_no_mean() -> None:
    nothing = observed(np.array([]))
    assert (nothing.quantile(0.99), nothing.mean(), nothing.over(0.05)) == (None, None, 0)


def test_a_difference_is_what_came_in_between(times: np.ndarray) -> None:
    early, late = observed(times[:2000]), observed(times)
    between = late - early
    assert between.counts.tolist() == observed(times[2000:]).counts.tolist()
    assert (early + between).total == pytest.approx(late.total)

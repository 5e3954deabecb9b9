"""The schedule is a Poisson process, and the same one for the same seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.arrivals import poisson_schedule


def test_gaps_are_exponential() -> None:
    gaps_us = np.diff(poisson_schedule(500, 200, seed=3))
    # 100,000 gaps: the standard error of mean and deviation is 0.3 %.
    assert abs(gaps_us.mean() / 2000 - 1) < 0.02
    assert abs(gaps_us.std() / gaps_us.mean() - 1) < 0.02
    # P(gap > mean) of an exponential is 1/e.
    assert abs(np.mean(gaps_us > 2000) - np.exp(-1)) < 0.01
    assert abs(np.corrcoef(gaps_us[:-1], gaps_us[1:])[0, 1]) < 0.02


def test_counts_vary_as_poisson_counts_do() -> None:
    counts = np.array([len(poisson_schedule(50, 2, seed)) for seed in range(400)])
    assert abs(counts.mean() - 100) < 3
    assert 70 < counts.var() < 140


def test_the_seed_decides() -> None:
    first = poisson_schedule(40, 30, seed=1)
    assert np.array_equal(first, poisson_schedule(40, 30, seed=1))
    assert not np.array_equal(first[:100], poisson_schedule(40, 30, seed=2)[:100])


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 2000), st.floats(0.01, 5), st.integers(0, 1000))
def test_times_rise_within_the_run(rate: float, seconds: float, seed: int) -> None:
    times_us = poisson_schedule(rate, seconds, seed)
    assert times_us.dtype == np.int64
    assert np.all(np.diff(times_us) >= 0)
    assert np.all((times_us >= 0) & (times_us < seconds * 1e6))

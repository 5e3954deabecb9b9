"""When requests are sent: a Poisson process, drawn before the run."""

from __future__ import annotations

import numpy as np

from loadtest.records import Microseconds


def poisson_schedule(rate_per_second: float, total_seconds: float, seed: int) -> Microseconds:
    """Times of a Poisson process: what many users who know nothing of each other send.

    Gaps are independent and exponential, as in MLPerf's server scenario (Reddi et al. 2020,
    "MLPerf Inference Benchmark"), so that short bursts come as they do in life.

    Returns:
        int64, µs from the start, rising, all below `total_seconds`.
    """
    random = np.random.default_rng(seed)
    horizon_us = total_seconds * 1e6
    mean_gap_us = 1e6 / rate_per_second
    expected = rate_per_second * total_seconds
    times_us = np.empty(0)
    begun_us = 0.0
    while begun_us < horizon_us:
        gaps = random.exponential(mean_gap_us, size=int(expected + 6 * expected**0.5) + 16)
        drawn = begun_us + np.cumsum(gaps)
        times_us = np.concatenate([times_us, drawn])
        begun_us = float(drawn[-1])
    return times_us[times_us < horizon_us].astype(np.int64)

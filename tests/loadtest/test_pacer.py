"""The pacer wakes in time, and not before."""

from __future__ import annotations

import time

import numpy as np

from loadtest.pacer import Pacer


def test_wakes_within_less_than_gevents_millisecond() -> None:
    pacer = Pacer()
    late_us = []
    for _ in range(200):
        due_ns = time.monotonic_ns() + 1_300_000
        pacer.sleep_until(due_ns)
        late_us.append((time.monotonic_ns() - due_ns) / 1000)
    pacer.close()
    assert min(late_us) >= 0
    # gevent's own timers would be 700 µs late here: they end on whole milliseconds.
    assert np.percentile(late_us, 10) < 500


def test_a_time_in_the_past_is_no_wait() -> None:
    pacer = Pacer()
    begun = time.monotonic()
    pacer.sleep_until(time.monotonic_ns() - 1_000_000)
    pacer.close()
    assert time.monotonic() - begun < 1

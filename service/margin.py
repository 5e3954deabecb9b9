"""How much of a deadline to keep free, learned from how many answers came too close to it."""

from __future__ import annotations

# The promise is about the 99th percentile.
ALLOWED_MISSES = 0.01
# This near the deadline is a miss: the way of the answer to the client is not seen here.
NEAR_MS = 3.0
# A miss moves the margin up by about this, and 1 / ALLOWED_MISSES good answers take it back: so
# large that a bad second of the machine is forgotten within seconds.
STEP_MS = 2.0
# Beyond this share of the deadline, refusing more would help no one: the machine is too noisy.
LARGEST_SHARE = 0.6
# A wait may be learned to take so much longer than predicted, as a multiple of it. With 1, twice as
# much of what is admitted under overload comes late, and no more is in time; 3 gains nothing.
WAITS_MORE = 2.0


class Margin:
    """Grows until no more than one admitted request in a hundred ends within `NEAR_MS` of its
    deadline; never below `floor_ms`.

    Stochastic approximation (Robbins and Monro 1951): up by (1 - q)·step on a miss, down by q·step
    else, which is at rest where the share of misses is q. Predictions need not be right for that,
    only alike from one request to the next.
    """

    def __init__(self, floor_ms: float) -> None:
        self._floor_ms = floor_ms
        self._learned_ms = 0.0
        self._noted_ms = 0.0

    def ms(self, timeout_ms: float, wait_ms: float) -> float:
        """The margin for a deadline of `timeout_ms` and a predicted wait of `wait_ms`.

        What was learned is how far predicted waits fall short, at most by `WAITS_MORE` times what
        they are: who finds the engine free is not refused because others waited too long.
        """
        learned_ms = min(self._learned_ms, WAITS_MORE * wait_ms)
        return min(self._floor_ms + learned_ms, LARGEST_SHARE * timeout_ms)

    def observe(self, took_ms: float, timeout_ms: float) -> None:
        """Learn from an admitted request that took `took_ms` of its `timeout_ms`."""
        if took_ms > timeout_ms - min(NEAR_MS, LARGEST_SHARE * timeout_ms):
            grown = self._learned_ms + (1 - ALLOWED_MISSES) * STEP_MS
            self._learned_ms = min(grown, LARGEST_SHARE * timeout_ms)
        else:
            self._learned_ms = max(0.0, self._learned_ms - ALLOWED_MISSES * STEP_MS)

    def note(self) -> None:
        """Remember what is learned by now."""
        self._noted_ms = self._learned_ms

    def back(self) -> None:
        """Go back to what was learned when it was last noted: what came since tells nothing."""
        self._learned_ms = self._noted_ms

"""How often the holder of a key may ask: a bucket that fills at the rate and holds the burst."""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class RateLimit:
    """One holder's bucket. A request takes one out; who finds none left has to wait."""

    __slots__ = ("_clock", "_filled", "_left", "burst", "per_second")

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = per_second
        self.burst = burst
        self._clock = clock
        self._left = float(burst)
        self._filled = clock()

    def wait_seconds(self) -> float:
        """Take one request out, and return 0; or take none, and return until when there is one."""
        now = self._clock()
        left = min(self.burst, self._left + (now - self._filled) * self.per_second)
        self._filled = now
        if left < 1:
            self._left = left
            return (1 - left) / self.per_second
        self._left = left - 1
        return 0.0


def burst_of(per_second: float, burst: int | None) -> int:
    """Requests at once: what is given, else what a second brings, and at least one."""
    return burst if burst is not None else max(1, math.ceil(per_second))

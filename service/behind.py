"""Work that lets interactive requests go first: bulk slices, and what is asked of an engine aside.

It goes where nothing else waits, and gets a turn now and then so that it never stands still. The
two kinds take turns: neither waits for all of the other.
"""

from __future__ import annotations

import time
from collections import deque

from service.jobs import EngineCall, Job

# Bulk work gets a slice of the engine at least so often, however much interactive work waits.
BULK_TURN_SECONDS = 0.25


class Behind:
    """The two lines, and when one of them last had its turn."""

    def __init__(self) -> None:
        self._bulk: deque[Job] = deque()
        self._aside: deque[Job] = deque()
        self._ended = time.monotonic()
        self._aside_was_last = False

    def line_of(self, job: Job) -> deque[Job]:
        """Where a bulk job waits."""
        return self._aside if job.aside else self._bulk

    @property
    def line(self) -> deque[Job]:
        """The line whose turn is next; empty where nothing waits in either."""
        if self._aside and not (self._bulk and self._aside_was_last):
            return self._aside
        return self._bulk

    def seconds_to_turn(self) -> float:
        """Time until a turn is due, below 0 where it is overdue."""
        return self._ended + BULK_TURN_SECONDS - time.monotonic()

    def end(self, call: EngineCall) -> None:
        """Note that a call of one of the lines has ended."""
        self._ended = time.monotonic()
        self._aside_was_last = call.aside

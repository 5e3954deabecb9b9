"""How late the event loop is: what a request has waited before anything of ours sees it."""

from __future__ import annotations

import asyncio

SAMPLE_SECONDS = 0.01
# Of the largest lag lately, what is still believed a sample later: half of it after 30 ms.
KEPT = 0.8
# A request waits for the loop twice: for its bytes to be read, and for its task to begin.
WAITS = 2
# No guess is larger: who came after a stall has not waited for it, and must not be failed for it.
LARGEST_SECONDS = 0.025


class LoopLag:
    """Samples by how much timers come late, as long as it runs; belongs to one event loop."""

    def __init__(self) -> None:
        self._late_seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """What a request that is seen now has probably waited unseen."""
        return min(WAITS * self._late_seconds, LARGEST_SECONDS)

    def start(self) -> None:
        """Begin to sample, inside the running loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(SAMPLE_SECONDS, self._sample, loop.time() + SAMPLE_SECONDS)

    def stop(self) -> None:
        """Stop sampling; once stopped there is no lag."""
        if self._timer is not None:
            self._timer.cancel()
        self._late_seconds = 0.0

    def _sample(self, due: float) -> None:
        late = max(0.0, asyncio.get_running_loop().time() - due)
        self._late_seconds = max(late, KEPT * self._late_seconds)
        self.start()

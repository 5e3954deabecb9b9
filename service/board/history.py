"""The samples of the last minutes, taken once for all who look."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from service.board.sample import Sample, read_sample
from service.board.tally import Tally, since
from service.metrics import Metrics

log = logging.getLogger("sub50.board")

SAMPLE_SECONDS = 5.0
KEPT_SECONDS = 600.0
P50, P99 = 0.5, 0.99


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in the time between two samples, for the charts. Times in seconds.

    Percentiles are None where nothing was answered.
    """

    at: float
    seconds: float
    interactive: int
    bulk: int
    refused: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Restart:
    """Triton was started anew before the sample of the moment `at`, and after the one before it."""

    at: float
    reason: str


class History:
    """Samples of `metrics`, every `sample_seconds`, of the last ten minutes.

    It keeps so many that the first and the last are that far apart. `last_restart` is kept
    however long ago it was.
    """

    def __init__(self, metrics: Metrics, sample_seconds: float) -> None:
        self.sample_seconds = sample_seconds
        self.taken = 0
        self._metrics = metrics
        kept = round(KEPT_SECONDS / sample_seconds)
        self._samples: deque[Sample] = deque(maxlen=kept + 1)
        self.points: deque[Point] = deque(maxlen=kept)
        self.last_restart: Restart | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take samples for as long as the block runs."""
        await self.take()
        sampling = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            sampling.cancel()
            with suppress(asyncio.CancelledError):
                await sampling

    async def take(self) -> None:
        """Take one sample now."""
        self.add(await read_sample(self._metrics))

    def add(self, sample: Sample) -> None:
        """Keep a sample, and the point between it and the one before."""
        if self._samples:
            self.points.append(_point(self._samples[-1], sample))
        known = self._samples[-1].restarts if self._samples else {}
        for reason, count in sample.restarts.items():
            # Of several the last counts: a start that failed comes after what it was made for.
            if count > known.get(reason, 0):
                self.last_restart = Restart(sample.at, reason)
        self._samples.append(sample)
        self.taken += 1

    @property
    def latest(self) -> Sample:
        """The newest sample."""
        return self._samples[-1]

    def before(self, seconds: float) -> Sample:
        """The sample that is closest to so many seconds older than the newest."""
        wanted = self.latest.at - seconds
        return min(self._samples, key=lambda sample: abs(sample.at - wanted))

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(self.sample_seconds)
            try:
                await self.take()
            except Exception:
                log.exception("the board could not read the metrics; it shows the last ones as old")


def _point(earlier: Sample, later: Sample) -> Point:
    requests = since(earlier.requests, later.requests)
    interactive = Tally.of(requests, request_class="interactive")
    bulk = Tally.of(requests, request_class="bulk")
    return Point(
        at=later.at,
        seconds=later.at - earlier.at,
        interactive=interactive.requests,
        bulk=bulk.requests,
        refused=interactive.refused + bulk.refused,
        p50=interactive.answered.quantile(P50),
        p99=interactive.answered.quantile(P99),
    )

"""Asks a candidate what clients ask of the served version, and compares both.

Every answered call of the served version leaves copies of its rows behind. Where no client waits,
one copy after the other is asked of both versions, in turn and behind all live requests: of the
candidate for its labels and its time, of the served one for its time under the same conditions.
What comes while there are copies enough is dropped and counted. Nothing of it reaches a client.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from service.aside import ask_aside
from service.errors import PromotionError, RequestError
from service.jobs import EngineCall
from service.metrics import Metrics
from service.models import ServedModel
from service.scheduler import Scheduler
from service.shadow_record import Findings, Record, require

Floats = npt.NDArray[np.float32]
Rows = list[list[int]]

# Copies that wait. More would only be older.
WAITING_COPIES = 32
# Longer ones would keep a client waiting who comes while they run.
LONGEST_COPY_TOKENS = 256
# While clients are answered, look so often for a moment without any.
QUIET_POLL_SECONDS = 0.004
# Rest so many times as long as a copy took: shadowing then takes a quarter of one lane at most, and
# few clients meet a call of it.
REST_FACTOR = 3.0
CALL_SECONDS = 5.0
PROGRESS_SECONDS = 1.0

Progress = Callable[[Mapping[str, object]], Awaitable[None]]


@dataclass(frozen=True)
class Shadowing:
    """What was asked for: for how long, and which share of the copies to take.

    `tell` is called every second with the figures so far; once `called_off` is set, it ends.
    """

    seconds: float
    share: float
    tell: Progress
    called_off: asyncio.Event


def require_same_tokens(served: ServedModel, candidate: ServedModel) -> None:
    """Raise PromotionError unless both versions read a text as the same tokens: copies are rows of
    these."""
    before, after = served.card, candidate.card
    if (before.tokenizer_sha256, before.max_tokens) != (after.tokenizer_sha256, after.max_tokens):
        raise PromotionError(
            f"version {candidate.version} of {served.name} reads texts with another tokenizer, or "
            f"to another length, than version {served.version}: what is asked of that one cannot "
            "be asked of this one. Promote it without --shadow"
        )


async def shadow(
    served: ServedModel,
    candidate: ServedModel,
    scheduler: Scheduler,
    metrics: Metrics,
    shadowing: Shadowing,
    *,
    budget_ms: float,
    same_labels: bool,
) -> Findings:
    """Compare for as long as was asked for; returns what was found.

    Raises:
        PromotionError: the candidate may not take over, with the figures; or it was called off.
    """
    pair = Shadow(served, candidate, scheduler, metrics, shadowing.share)
    await pair.run(shadowing)
    found = pair.record.findings(budget_ms)
    require(found, served.card, same_labels)
    return found


class Shadow:
    """One candidate in the shadow of the version that serves."""

    def __init__(
        self,
        served: ServedModel,
        candidate: ServedModel,
        scheduler: Scheduler,
        metrics: Metrics,
        share: float,
    ) -> None:
        self._served = served
        self._candidate = candidate
        self._scheduler = scheduler
        self._metrics = metrics
        self._share = share
        self._copies: deque[tuple[Rows, Floats]] = deque()
        self._came = asyncio.Event()
        self._served_first = False
        self.record = Record(served.card, candidate.card)

    async def run(self, shadowing: Shadowing) -> None:
        """Compare for as long as was asked for; `record` has what was found.

        Raises:
            PromotionError: the candidate failed on a copy, or it was called off.
        """
        end = time.monotonic() + shadowing.seconds
        async with self._at_work() as work:
            called_off = asyncio.create_task(shadowing.called_off.wait())
            try:
                while (left := end - time.monotonic()) > 0:
                    await asyncio.wait(
                        {work, called_off},
                        timeout=min(left, PROGRESS_SECONDS),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if work.done():
                        work.result()
                    if called_off.done():
                        raise PromotionError(
                            f"called off: version {self._served.version} of {self._served.name} "
                            "serves as before"
                        )
                    await shadowing.tell(self._progress(shadowing.seconds, end - time.monotonic()))
            finally:
                called_off.cancel()

    def take(self, call: EngineCall, outputs: Floats) -> None:
        """Keep copies of what a call of the model was answered; `outputs` (rows, width)."""
        if call.version != self._served.version:
            return
        begin = 0
        for job in call.jobs:
            end = begin + len(job.rows)
            if random.random() < self._share:
                self._keep([*job.rows], outputs[begin:end], job.tokens)
            begin = end

    def _keep(self, rows: Rows, outputs: Floats, tokens: int) -> None:
        if len(self._copies) >= WAITING_COPIES or tokens > LONGEST_COPY_TOKENS:
            self._count("dropped")
            self.record.dropped += 1
            return
        self._copies.append((rows, outputs))
        self._came.set()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[asyncio.Task[None]]:
        """Copies are taken and compared for as long as the block runs."""
        taps, name = self._scheduler.taps, self._served.name
        taps[name] = self.take
        work = asyncio.create_task(self._compare_all())
        try:
            yield work
        finally:
            del taps[name]
            work.cancel()
            with suppress(asyncio.CancelledError, PromotionError):
                await work

    async def _compare_all(self) -> None:
        while True:
            await self._came.wait()
            await self._quiet()
            rows, expected = self._copies.popleft()
            if not self._copies:
                self._came.clear()
            busy_ms = await self._compare(rows, expected)
            await asyncio.sleep(REST_FACTOR * busy_ms / 1000)

    async def _quiet(self) -> None:
        """Wait for a moment in which no client waits."""
        while not self._scheduler.backlog.quiet:  # noqa: ASYNC110  (an event would cost requests)
            await asyncio.sleep(QUIET_POLL_SECONDS)

    async def _compare(self, rows: Rows, expected: Floats) -> float:
        """Ask both versions, each as often first as the other; returns the ms that this took."""
        order = [self._candidate, self._served]
        self._served_first = not self._served_first
        if self._served_first:
            order.reverse()
        asked: dict[ServedModel, tuple[Floats, float]] = {}
        for model in order:
            await self._quiet()
            try:
                asked[model] = await ask_aside(model, rows, self._scheduler, CALL_SECONDS)
            except RequestError as error:
                if model is self._served:  # clients have seen the same; says nothing of the other
                    return 0.0
                raise self._failed(str(error)) from error
        found, took_ms = asked[self._candidate]
        if found.shape != expected.shape or not np.isfinite(found).all():
            raise self._failed(f"its answer is not {expected.shape[1]} numbers for each text")
        self._count("compared")
        served_ms = asked[self._served][1]
        compared, changed = self.record.add(expected, found, served_ms, took_ms)
        self._metrics.shadow_labels.labels(self._served.name, "agreed").inc(compared - changed)
        self._metrics.shadow_labels.labels(self._served.name, "changed").inc(changed)
        return served_ms + took_ms

    def _failed(self, reason: str) -> PromotionError:
        self._count("failed")
        return PromotionError(
            f"version {self._candidate.version} of {self._candidate.name} failed on a copy of a "
            f"live request ({reason}); version {self._served.version} serves as before"
        )

    def _count(self, result: str) -> None:
        self._metrics.shadow_copies.labels(self._served.name, result).inc()

    def _progress(self, seconds: float, left: float) -> dict[str, object]:
        return {"seconds": seconds, "seconds_left": max(0.0, left), **self.record.progress()}

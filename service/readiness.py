"""Is the service ready? Asked of the engines by a real inference, not of a status page.

Triton calls a model ready whose worker process is dead; only an answer proves that it lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from core.tokenizer import pad
from service.errors import RequestError
from service.metrics import Metrics
from service.models import ServedModel
from service.scheduler import InferenceBackend

PROBE_TEXT = "Are you ready?"
PROBE_TIMEOUT_MS = 1000.0
PROBE_PRIORITY = 1
LIVE_SECONDS = 0.2


@dataclass(frozen=True)
class Readiness:
    """What each model said; `faults` has the reason of those that did not answer.

    `live` is whether Triton answered at all.
    """

    models: list[str]
    faults: dict[str, str] = field(default_factory=dict)
    live: bool = True

    @property
    def ready(self) -> bool:
        """Whether every model answered."""
        return not self.faults


class LivingBackend(InferenceBackend, Protocol):
    """A backend that can be asked whether it lives, whatever its models do."""

    changes: int  # how often what it says may have changed: then nothing said before counts

    async def live(self) -> bool:
        """Whether it answers at all; never raises."""


async def ask_whether_ready(model: ServedModel, infer: Callable[..., Awaitable[object]]) -> None:
    """Have a model answer one short text. Raises RequestError where it does not."""
    input_ids, attention_mask = pad([model.tokenizer.encode([PROBE_TEXT])[0].ids])
    model.in_flight += 1  # or a promotion could unload the version that is asked
    try:
        await infer(
            model.name,
            input_ids,
            attention_mask,
            timeout_ms=PROBE_TIMEOUT_MS,
            priority=PROBE_PRIORITY,
            version=model.version,
        )
    finally:
        model.in_flight -= 1


class ReadinessProbe:
    """Sends every model one short text, at most once per `keep_seconds`.

    `models` gives them as they are served now: a promotion replaces them. What they said is
    shown in `metrics` too.
    """

    def __init__(
        self,
        models: Callable[[], list[ServedModel]],
        backend: LivingBackend,
        metrics: Metrics,
        keep_seconds: float,
    ) -> None:
        self._models = models
        self._backend = backend
        self._metrics = metrics
        self._keep_seconds = keep_seconds
        self._lock = asyncio.Lock()
        self._last: tuple[float, int, Readiness] | None = None
        self._refreshing: asyncio.Task[Readiness] | None = None

    async def check(self) -> Readiness:
        """The last answer while it is fresh, else a new one; never raises."""
        async with self._lock:
            while True:
                readiness = self.last(self._keep_seconds)
                if readiness is not None:
                    return readiness
                begun, changes = time.monotonic(), self._backend.changes
                self._last = (begun, changes, await self._ask())
                if changes == self._backend.changes:
                    return self._last[2]

    def at_fault(self, reason: str) -> Readiness:
        """Not ready, whatever the models say; asks nothing."""
        names = [model.name for model in self._models()]
        return Readiness(names, dict.fromkeys(names, reason))

    def last(self, within_seconds: float) -> Readiness | None:
        """What was said last, where that was asked within so many seconds; asks nothing."""
        if self._last is None:
            return None
        asked, changes, readiness = self._last
        if time.monotonic() - asked > within_seconds or changes != self._backend.changes:
            return None
        return readiness

    def refresh(self) -> None:
        """Begin a check whose outcome the metrics will show, and do not wait for it.

        A Triton that hangs would hold up the metrics when they are needed most.
        """
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.get_running_loop().create_task(self.check())

    async def _ask(self) -> Readiness:
        models = self._models()
        asked = asyncio.create_task(self._backend.live())
        faults = await asyncio.gather(*(self._fault(model) for model in models))
        # A model that answers shows that Triton lives, which Triton itself does not say while it
        # loads another: that may take minutes, and it answers nothing but inferences meanwhile.
        live = None in faults
        if not live:  # and then nobody waits long
            await asyncio.wait({asked}, timeout=LIVE_SECONDS)
            live = asked.done() and asked.result()
        asked.cancel()
        names = [model.name for model in models]
        found = {n: fault for n, fault in zip(names, faults, strict=True) if fault}
        self._metrics.triton_up.set(live)
        for name in names:
            self._metrics.engine_ready.labels(name).set(name not in found)
        return Readiness(names, found, live)

    async def _fault(self, model: ServedModel) -> str | None:
        try:
            await ask_whether_ready(model, self._backend.infer)
        except RequestError as error:
            return str(error)
        return None

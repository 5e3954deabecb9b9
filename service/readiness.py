"""Is the service ready? Asked of the engines by a real inference, not of a status page.

Triton calls a model ready whose worker process is dead; only an answer proves that it lives.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from core.tokenizer import pad
from service.errors import RequestError
from service.models import ServedModel
from service.scheduler import InferenceBackend

PROBE_TEXT = "Are you ready?"
PROBE_TIMEOUT_MS = 1000.0
PROBE_PRIORITY = 1


@dataclass(frozen=True)
class Readiness:
    """What each model said; `faults` has the reason of those that did not answer."""

    models: list[str]
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        """Whether every model answered."""
        return not self.faults


class ReadinessProbe:
    """Sends every model one short text, at most once per `keep_seconds`."""

    def __init__(
        self, models: list[ServedModel], backend: InferenceBackend, keep_seconds: float
    ) -> None:
        self._models = models
        self._backend = backend
        self._keep_seconds = keep_seconds
        self._lock = asyncio.Lock()
        self._last: tuple[float, Readiness] | None = None

    async def check(self) -> Readiness:
        """The last answer while it is fresh, else a new one; never raises."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > self._keep_seconds:
                faults = await asyncio.gather(*(self._fault(model) for model in self._models))
                names = [model.name for model in self._models]
                found = {n: fault for n, fault in zip(names, faults, strict=True) if fault}
                self._last = (time.monotonic(), Readiness(names, found))
            return self._last[1]

    async def _fault(self, model: ServedModel) -> str | None:
        input_ids, attention_mask = pad([model.tokenizer.encode([PROBE_TEXT])[0].ids])
        try:
            await self._backend.infer(
                model.name,
                input_ids,
                attention_mask,
                timeout_ms=PROBE_TIMEOUT_MS,
                priority=PROBE_PRIORITY,
            )
        except RequestError as error:
            return str(error)
        return None

"""Is the service ready? Asked of the engines by a real inference, not of a status page.

Triton calls a model ready whose worker process is dead; only an answer proves that it lives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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
    """Sends every model one short text, at most once per `keep_seconds`.

    `models` gives them as they are served now: a promotion replaces them.
    """

    def __init__(
        self,
        models: Callable[[], list[ServedModel]],
        backend: InferenceBackend,
        keep_seconds: float,
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
                models = self._models()
                faults = await asyncio.gather(*(self._fault(model) for model in models))
                names = [model.name for model in models]
                found = {n: fault for n, fault in zip(names, faults, strict=True) if fault}
                self._last = (time.monotonic(), Readiness(names, found))
            return self._last[1]

    async def _fault(self, model: ServedModel) -> str | None:
        input_ids, attention_mask = pad([model.tokenizer.encode([PROBE_TEXT])[0].ids])
        model.in_flight += 1  # or a promotion could unload the version that is asked
        try:
            await self._backend.infer(
                model.name,
                input_ids,
                attention_mask,
                timeout_ms=PROBE_TIMEOUT_MS,
                priority=PROBE_PRIORITY,
                version=model.version,
            )
        except RequestError as error:
            return str(error)
        finally:
            model.in_flight -= 1
        return None

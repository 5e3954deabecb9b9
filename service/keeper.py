"""Brings the embedded Triton back, with the versions that serve, and says what it was.

It is started at once where it ended or hangs. One that does not start, or does not stay, is started
again after ever longer pauses, and the service says 503 meanwhile: it does not end, since what it
could be started anew for, the same is done here. A model whose engine cannot be loaded does not
keep the others from serving: it is tried again by itself.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from core.versions import VersionError, whole_card
from service.disk import on_disk
from service.errors import RequestError, ServeError
from service.metrics import Metrics
from service.models import ServedModel
from service.pulse import Backend, Pulse
from service.readiness import ask_whether_ready
from service.triton.allowed import check_files
from service.triton.reasons import stands_in
from service.triton.supervisor import STUB_DIED_STATUS
from service.watch import Served

log = logging.getLogger("sub50.triton")
ResultT = TypeVar("ResultT")

REASONS = ("triton_died", "model_died", "supervisor_died", "hung", "start_failed")
# Before each start, by how many came before it without one that stayed.
PAUSES_SECONDS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
STAYED_SECONDS = 10.0
# Between tries to load what could not be loaded.
RELOAD_SECONDS = (2.0, 5.0, 10.0, 30.0)
WARM_UP_ASKS = 8
# What callers are told; paths are for the log.
RETRY_SECONDS = 3
NOT_LOADED = "its engine cannot be loaded; the service's log has the reason, and it is tried again"


class Revivable(Protocol):
    """The embedded Triton: all methods block, and are called in a thread."""

    repository: Path

    @property
    def grpc_target(self) -> str:
        """Where it is found."""

    @property
    def stand_ins(self) -> Mapping[str, str]:
        """Why models are served by their engines for processors, by name."""

    def poll(self) -> int | None:
        """None while it runs; its exit status once it has ended."""

    def revive(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Start it anew with these versions; returns why some could not be loaded."""

    def load(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Load these versions; returns why some could not be."""

    def call_off(self) -> None:
        """Have a start in another thread fail at once."""

    def log_end(self) -> str:
        """The last telling lines of its log."""


class TritonKeeper:
    """Keeps one embedded Triton for a pulse. `connect` makes a client for where it is."""

    def __init__(
        self,
        triton: Revivable,
        pulse: Pulse,
        served: Served,
        connect: Callable[[str], Backend],
        metrics: Metrics,
    ) -> None:
        self._triton = triton
        self._pulse = pulse
        self._served = served
        self._connect = connect
        self._metrics = metrics
        for reason in REASONS:  # from 0 on, or the first of each would not count as an increase
            metrics.triton_restarts.labels(reason)
        self._started_at = time.monotonic()
        self._in_vain = 0
        # Models that are not loaded, each with why.
        self._unloaded: dict[str, str] = {}
        self._reload_at = math.inf
        self._reloads = 0

    async def heal(self, hung: str | None) -> bool:
        """Bring Triton back where it has ended, or hangs as `hung` tells, and say so; else
        do nothing."""
        status = self._triton.poll()
        if status is not None:
            await self._bring_back(*_end_by(status))
        elif hung is not None:
            await self._bring_back("hung", f"Triton hangs: {hung}")
        elif self._unloaded and time.monotonic() >= self._reload_at:
            await self._reload()
        else:
            return False
        return True

    async def _bring_back(self, reason: str, told: str) -> None:
        begun = time.monotonic()
        if begun - self._started_at > STAYED_SECONDS:
            self._in_vain = 0
        await self._say_down(told)
        while True:
            pause = PAUSES_SECONDS[min(self._in_vain, len(PAUSES_SECONDS) - 1)]
            self._in_vain += 1
            if pause:
                again = math.ceil(pause + RETRY_SECONDS)
                self._pulse.down(f"{told}; it is started again in {pause:g} s", again)
                await asyncio.sleep(pause)
            self._pulse.down(f"{told}; it is being started again", RETRY_SECONDS)
            self._metrics.triton_restarts.labels(reason).inc()
            try:
                await self._revive()
                break
            except (ServeError, OSError) as error:
                reason, told = "start_failed", "Triton does not start; the service's log has why"
                log.error("%s", error)
        self._started_at = time.monotonic()
        log.warning("Triton is back, after %.1f s", self._started_at - begun)

    async def _say_down(self, told: str) -> None:
        self._pulse.down(told, RETRY_SECONDS)
        self._metrics.triton_up.set(0)
        for model in self._served.served():
            self._metrics.engine_ready.labels(model.name).set(0)
        log.error(
            "%s; it is started anew, and requests are answered with 503. The end of its log:\n%s",
            told,
            await on_disk(self._triton.log_end),
        )

    async def _revive(self) -> None:
        models = self._served.served()
        changed = await on_disk(self._changed, models)
        versions = {m.name: m.version for m in models if m.name not in changed}
        failed = await self._in_thread(lambda: self._triton.revive(versions))
        self._note_stand_ins(models)
        client = self._connect(self._triton.grpc_target)
        await self._warm_up(client, [model for model in models if model.name in versions])
        before = self._pulse.backend
        self._pulse.up(client)
        self._served.forget_outage()
        self._reloads = 0
        self._note_unloaded(models, {**changed, **failed})
        await before.close()

    async def _warm_up(self, client: Backend, models: Sequence[ServedModel]) -> None:
        """Have each instance answer a few times: an engine's first runs take longer."""
        asks = [
            ask_whether_ready(model, client.infer) for model in models for _ in range(WARM_UP_ASKS)
        ]
        for result in await asyncio.gather(*asks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, RequestError):
                raise result  # what Triton fails at is found out, and told, by the watch

    async def _reload(self) -> None:
        """Try again to load what could not be, with the version that is served by now."""
        models = [model for model in self._served.served() if model.name in self._unloaded]
        changed = await on_disk(self._changed, models)
        versions = {m.name: m.version for m in models if m.name not in changed}
        try:
            failed = await self._in_thread(lambda: self._triton.load(versions)) if versions else {}
        except ServeError as error:  # Triton ended meanwhile, which is seen next
            failed = dict.fromkeys(versions, str(error))
        self._note_stand_ins(models)
        self._note_unloaded(models, {**changed, **failed})

    def _note_stand_ins(self, models: Sequence[ServedModel]) -> None:
        """Admit and show as engines for processors those that have taken the place of others."""
        for model in models:
            reason = self._triton.stand_ins.get(model.name)
            if reason is not None and not model.stands_in:
                log.error("%s", stands_in(model.name, reason))
                self._served.stand_in(model)

    def _note_unloaded(self, models: Sequence[ServedModel], reasons: dict[str, str]) -> None:
        """Shut the models that cannot be loaded, open the others."""
        for model in models:
            key = model.name, model.version
            reason = reasons.get(model.name)
            if reason is None:
                if self._unloaded.pop(model.name, None) is not None:
                    log.info("model %s is loaded again", model.name)
                self._pulse.open_version(key)
                continue
            if self._unloaded.get(model.name) != reason:
                log.error(
                    "model %s cannot be served: %s. Build it again with `sub50 engines build %s`, "
                    "or go back with `sub50 engines rollback %s`; it is tried again by itself",
                    *(model.name, reason, model.name, model.name),
                )
            self._unloaded[model.name] = reason
            self._pulse.shut_version(key, f"{model.name}: {NOT_LOADED}", unloadable=True)
        pause = RELOAD_SECONDS[min(self._reloads, len(RELOAD_SECONDS) - 1)]
        self._reloads += 1
        self._reload_at = time.monotonic() + pause

    def _changed(self, models: Sequence[ServedModel]) -> dict[str, str]:
        """Models that are not on disk any more as they serve, each with why.

        That the engine is the one of its card is seen where it is loaded.
        """
        reasons = {}
        for model in models:
            folder = self._triton.repository / model.name
            try:
                card = whole_card(folder / model.version)
                check_files(folder, folder / model.version)
            except (VersionError, ServeError, OSError) as error:
                reasons[model.name] = str(error)
                continue
            if card.engine_sha256 != model.card.engine_sha256:
                reasons[model.name] = (
                    f"{folder / model.version} holds another engine by now than the one that serves"
                )
        return reasons

    async def _in_thread(self, work: Callable[[], ResultT]) -> ResultT:
        """Result of `work`; where this is cancelled, a start is called off and waited for."""
        running = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._triton.call_off()
            with suppress(Exception):
                await running
            raise


def _end_by(status: int) -> tuple[str, str]:
    """Reason and account of the end of the process that keeps Triton, by its exit status."""
    if status == STUB_DIED_STATUS:
        return "model_died", "the process of a model ended, of which Triton does not recover"
    if status < 0:
        return "supervisor_died", f"the process that keeps Triton was ended by {_signal(-status)}"
    if status > 128:
        return "triton_died", f"Triton was ended by {_signal(256 - status)}"
    return "triton_died", f"Triton ended by itself, with status {status}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"

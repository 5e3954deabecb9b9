"""Watches that the models live, by real answers, whether or not anybody asks for anything.

A version that served an answer within the last second needs no proof. Else the embedded Triton's
are asked one short text a second, and any Triton's where a call failed or was waited for in vain.

A call whose clock (see `pulse.py`) has run for `SILENT_SECONDS`, and `SILENT_TIMES` as long as it
was predicted to take, is silence: the model is not ready, requests for it get 503 at once, and the
next answer ends it. One that has run for `HUNG_SECONDS`, and `HUNG_TIMES` as long, hangs, and an
embedded Triton is started anew (`keeper.py`). Overload is neither: the service sends no more calls
than the engines run side by side and one ahead, and each answer sets the clocks of those behind it
back.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Protocol

from service.errors import BackendUnavailable, RequestError
from service.models import ServedModel
from service.pulse import Asked, Key, Pulse
from service.readiness import ask_whether_ready

log = logging.getLogger("sub50.watch")

TICK_SECONDS = 0.1
# A tick that comes later than this was held up, and Triton maybe with it.
LONGEST_TICK_SECONDS = 2 * TICK_SECONDS
SILENT_SECONDS, SILENT_TIMES = 0.5, 5.0
HUNG_SECONDS, HUNG_TIMES = 2.0, 10.0
# Triton is there and says of a model that it is not: such a one does not come back by itself.
FAILING_SECONDS = 4.0
# So often, within so long, Triton has given up on a process of a version, which it does after about
# a second, before that process is taken to hang; one that has been well for a while is.
BROKEN_TIMES, BROKEN_SECONDS, MENDED_SECONDS = 2, 6.0, 2.0
PROOF_SECONDS = 1.0
DOUBT_SECONDS = 0.4
# Below this nothing is unusual yet, and what admission has learned is not of an outage.
CALM_SECONDS = 0.03

SILENT = "the model does not answer; try again in a moment"


class Healer(Protocol):
    """What can start Triton anew where it is ours."""

    async def heal(self, hung: str | None) -> bool:
        """Bring Triton back where it has ended, or hangs as `hung` tells.

        Returns whether anything was done.
        """


class Served(Protocol):
    """What is served, and what is known of its speed: the pipeline in life."""

    def served(self) -> list[ServedModel]:
        """Every model, as it is served now."""

    def predicted_seconds(self, model: str, tokens: int) -> float:
        """How long a call of so many tokens is expected to take."""

    def stand_in(self, model: ServedModel) -> None:
        """Its engine for processors answers from now on: its GPU cannot be used any more."""

    def note_calm(self) -> None:
        """All is well: remember what was learned."""

    def forget_outage(self) -> None:
        """Go back to what was learned when all was well."""


class Watch:
    """Opens and shuts the versions of a pulse, for as long as `run` runs.

    `healer` and `side_by_side`, how many calls of each model run at once, are those of an embedded
    Triton. Without a healer nothing is asked while nothing is doubted.
    """

    def __init__(
        self,
        pulse: Pulse,
        served: Served,
        healer: Healer | None = None,
        side_by_side: Callable[[str], int] = lambda _model: 1,
    ) -> None:
        self._pulse = pulse
        self._served = served
        self._healer = healer
        self._side_by_side = side_by_side
        # Versions shut here, each with when; others were shut because they cannot be loaded.
        self._silent: dict[Key, float] = {}
        self._failing_since: dict[Key, float] = {}
        self._proofs: dict[Key, tuple[float, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Watch until cancelled."""
        before = time.monotonic()
        try:
            while True:
                await asyncio.sleep(TICK_SECONDS)
                now = time.monotonic()
                self._pulse.tick(min(now - before, LONGEST_TICK_SECONDS))
                before = now
                try:
                    if await self._look(now):
                        before = time.monotonic()
                except Exception:  # whatever it is, somebody has to go on watching
                    log.exception("unexpected error while watching Triton")
        finally:
            self._forget()

    async def _look(self, now: float) -> bool:
        """Judge, and heal or have proofs made; returns whether something was healed."""
        models = {(model.name, model.version): model for model in self._served.served()}
        self._judge(set(models), now)
        hung = self._hung(set(models), now)
        if self._healer is not None and await self._healer.heal(hung):
            self._forget()
            return True
        for key, model in models.items():
            self._prove(key, model, now)
        return False

    def _forget(self) -> None:
        """What was seen was of a Triton that is gone."""
        for _, proof in self._proofs.values():
            proof.cancel()
        self._proofs.clear()
        self._failing_since.clear()
        self._silent = {key: at for key, at in self._silent.items() if key in self._pulse.shut}

    def _judge(self, served: set[Key], now: float) -> None:
        """Shut what is silent, open what answers again."""
        overdue = {
            asked.key
            for asked in self._pulse.asked
            if asked.key in served and asked.seconds > self._limit(asked, SILENT_SECONDS)
        }
        for key in overdue - set(self._pulse.shut):
            log.warning("version %s of %s does not answer: requests for it get 503", key[1], key[0])
            self._silent[key] = now
            self._pulse.shut_version(key, SILENT)
        for key, since in list(self._silent.items()):
            broken = self._pulse.broken.get(key, [])
            mended = not broken or now - broken[-1] > MENDED_SECONDS
            answered = mended and self._pulse.answered_at.get(key, -math.inf) > since
            if key not in self._pulse.shut or key not in served:
                del self._silent[key]
            elif answered and key not in overdue:
                del self._silent[key]
                self._pulse.open_version(key)
                self._served.forget_outage()
                log.info("version %s of %s answers again", key[1], key[0])
        if not self._silent and all(asked.seconds <= CALM_SECONDS for asked in self._pulse.asked):
            self._served.note_calm()

    def _limit(self, asked: Asked, seconds: float) -> float:
        times = SILENT_TIMES if seconds == SILENT_SECONDS else HUNG_TIMES
        return seconds + times * self._served.predicted_seconds(asked.key[0], asked.tokens)

    def _hung(self, served: set[Key], now: float) -> str | None:
        """What of the served versions hangs, as a sentence; None where nothing does."""
        for asked in self._pulse.asked:
            if asked.key in served and asked.seconds > self._limit(asked, HUNG_SECONDS):
                return f"{asked.key[0]} has not answered a call for {asked.seconds:.1f} s"
        for key, broken in self._pulse.broken.items():
            if key in served and sum(now - at < BROKEN_SECONDS for at in broken) >= BROKEN_TIMES:
                return f"a process of {key[0]} does not answer Triton"
        for key, since in self._failing_since.items():
            if (
                key in served
                and key not in self._pulse.unloadable
                and now - since > FAILING_SECONDS
            ):
                return f"{key[0]} has not been ready for {now - since:.1f} s"
        return None

    def _prove(self, key: Key, model: ServedModel, now: float) -> None:
        """Have a version prove that it lives, where nothing has shown it of late."""
        last, proof = self._proofs.get(key, (-math.inf, None))
        if key in self._pulse.unloadable or (proof is not None and not proof.done()):
            return
        doubted = key in self._pulse.doubted or key in self._silent
        answered = self._pulse.answered_at.get(key, last)
        if doubted:
            due = now - last >= DOUBT_SECONDS
        else:
            due = self._healer is not None and now - max(answered, last) >= PROOF_SECONDS
        if due:
            task = asyncio.get_running_loop().create_task(self._ask(key, model))
            self._proofs[key] = now, task

    async def _ask(self, key: Key, model: ServedModel) -> None:
        """Ask as many texts as run side by side: each instance has to answer."""
        asks = (
            ask_whether_ready(model, self._pulse.ask) for _ in range(self._side_by_side(key[0]))
        )
        results = await asyncio.gather(*asks, return_exceptions=True)
        failed = [result for result in results if isinstance(result, BackendUnavailable)]
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, RequestError):
                raise result
        if not failed:
            self._failing_since.pop(key, None)
            return
        now = time.monotonic()
        self._failing_since.setdefault(key, now)
        # Calls of one that cannot be reached fail at once, and the first that can does not.
        if self._healer is not None and key not in self._pulse.shut:
            self._silent[key] = now
            self._pulse.shut_version(key, str(failed[0]))

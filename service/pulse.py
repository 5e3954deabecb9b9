"""Passes calls on to Triton, and notes which of them go unanswered: `watch.py` judges by that.

Every call has a clock of the time that it has waited for its answer. The clocks run only while the
service itself runs, so that a machine that stood still is not taken for a Triton that hangs. An
answer shows that the line moves: it sets back the clocks of all calls of that version that were
asked after the answered one. So no clock runs long, however long the line is, while answers come;
and a call that others overtake is seen, where one of several instances hangs.

Callers give up when their time is over, and with them the evidence would go. So a few calls of each
version are left to run where nobody waits for them any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from core.tokenizer import Ids
from service.errors import BackendUnavailable, DeadlineExceeded
from service.scheduler import InferenceBackend
from service.trace import Trace

Floats = npt.NDArray[np.float32]
# A version of a model, as its name and number.
Key = tuple[str, str]
# So long a call is left to run at least; by then it is clear whether its model hangs.
LEFT_SECONDS = 20.0
# A model that is not there fails at once; a call that fails this much later was waited for.
BROKEN_SECONDS = 0.4
# With more time than this a call outlasts a silence that is none but a slow moment.
PATIENT_MS = 2_000.0
TAKEN_BACK = "Triton was started anew meanwhile; try again"


class Backend(InferenceBackend, Protocol):
    """Triton, by the client that reaches it."""

    async def live(self) -> bool:
        """Whether it answers at all; never raises."""

    async def close(self) -> None:
        """End the connection; calls under way fail."""


@dataclass(slots=True, eq=False)
class Asked:
    """A call that Triton has not answered. `seconds` is what its clock shows."""

    key: Key
    tokens: int
    timeout_ms: float
    answer: asyncio.Future[Floats]
    task: asyncio.Task[Floats] | None = None
    seconds: float = 0.0
    left: bool = False


@dataclass
class Pulse:
    """A backend that can be shut, as a whole or for one version of a model.

    `left_calls` of each version are left to run once nobody waits for them. `in_order`: calls of
    one version are answered about in the order they were asked; several Tritons behind one name do
    not, and there any answer sets back all clocks.

    Attributes:
        asked: the calls that are not answered, the oldest first.
        shut: versions that are not asked, each with what callers are told.
        unloadable: those of them that Triton could not load.
        outage: why none is asked; "" where Triton is there.
        retry_after_seconds: when callers may hope for more, while there is an outage.
        changes: how often any of that changed.
        answered_at: when a version answered last, on the monotonic clock.
        doubted: versions that failed or kept a caller waiting in vain since they answered last.
        broken: when Triton gave up on calls that it had kept for a while, by version. It does so
            where an instance's process hangs, and goes on giving it calls.

    Make it inside a running event loop and use it in that loop only.
    """

    backend: Backend
    left_calls: int = 0
    in_order: bool = False
    asked: list[Asked] = field(default_factory=list)
    shut: dict[Key, str] = field(default_factory=dict)
    unloadable: set[Key] = field(default_factory=set)
    outage: str = ""
    retry_after_seconds: int = 1
    changes: int = 0
    answered_at: dict[Key, float] = field(default_factory=dict)
    doubted: set[Key] = field(default_factory=set)
    broken: dict[Key, list[float]] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def infer(
        self,
        model: str,
        input_ids: Ids,
        attention_mask: Ids,
        *,
        timeout_ms: float,
        priority: int,
        request_id: str = "",
        version: str = "",
        traces: Sequence[Trace] = (),
    ) -> Floats:
        """Ask the backend; takes, returns and raises what it does, and fails at once where shut."""
        self.require(model, version)
        return await self.ask(
            model,
            input_ids,
            attention_mask,
            timeout_ms=timeout_ms,
            priority=priority,
            request_id=request_id,
            version=version,
            traces=traces,
        )

    def require(self, model: str, version: str) -> None:
        """Raise BackendUnavailable where this version is not to be asked now."""
        self.require_up()
        told = self.shut.get((model, version))
        if told is not None:
            raise BackendUnavailable(told, asked=False)

    def require_up(self) -> None:
        """Raise BackendUnavailable where Triton is not there for any model."""
        if self.outage:
            again = self.retry_after_seconds
            raise BackendUnavailable(self.outage, retry_after_seconds=again, asked=False)

    def is_well(self, model: str, version: str) -> bool:
        """Whether a version is asked, and no call of it was lost since it answered last."""
        key = model, version
        return not self.outage and key not in self.shut and key not in self.doubted

    async def until_well(self, model: str, version: str) -> None:
        """Wait for a version. Raises BackendUnavailable where it cannot be loaded."""
        while not self.is_well(model, version):
            if (model, version) in self.unloadable:
                self.require(model, version)
            await self._news.wait()

    def before(self, check: Callable[..., None]) -> Callable[..., None]:
        """`require_up`, and then `check` with what is given."""

        def both(*given: Any) -> None:
            self.require_up()
            check(*given)

        return both

    async def ask(
        self, model: str, input_ids: Ids, attention_mask: Ids, *, timeout_ms: float, **rest: Any
    ) -> Floats:
        """`infer`, also where the version is shut: how else would it be found well again?"""
        loop = asyncio.get_running_loop()
        key = model, rest.get("version", "")
        asked = Asked(key, input_ids.size, timeout_ms, loop.create_future())
        left_ms = max(timeout_ms, 1000 * LEFT_SECONDS) if self.left_calls else timeout_ms
        call = self.backend.infer(model, input_ids, attention_mask, timeout_ms=left_ms, **rest)
        asked.task = loop.create_task(call)
        self.asked.append(asked)
        asked.task.add_done_callback(partial(self._ended, asked))
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                return await asked.answer
        except TimeoutError:
            raise DeadlineExceeded("the model did not answer in time") from None
        finally:
            if not asked.task.done():
                self._give_up(asked)

    async def live(self) -> bool:
        """Whether Triton answers at all; never raises, and does not ask where all is shut."""
        all_shut = bool(self.shut) and set(self.answered_at) <= set(self.shut)
        return not self.outage and not all_shut and await self.backend.live()

    def tick(self, seconds: float) -> None:
        """Let the clocks of all calls run on by so much."""
        for asked in self.asked:
            asked.seconds += seconds

    def shut_version(self, key: Key, told: str, *, unloadable: bool = False) -> None:
        """Ask a version no more, and fail the calls of it that wait and have little time.

        Those that have more may still be answered: what is silent does not always hang.
        """
        if unloadable:
            self.unloadable.add(key)
            self._tell()
        if self.shut.get(key) != told:
            self.shut[key] = told
            self._fail_waiting(told, key)

    def open_version(self, key: Key) -> None:
        """Ask a version again."""
        self.unloadable.discard(key)
        if self.shut.pop(key, None) is not None:
            self.changes += 1
            self._tell()

    def down(self, told: str, retry_after_seconds: int = 1) -> None:
        """Ask nothing any more, and fail all calls that wait."""
        self.outage = told
        self.retry_after_seconds = retry_after_seconds
        self._fail_waiting(told)

    def up(self, backend: Backend) -> None:
        """Ask again, by a new backend; nothing that was known of the one before counts."""
        for asked in list(self.asked):
            self._drop(asked)
        self.backend = backend
        self.outage = ""
        self.shut.clear()
        self.unloadable.clear()
        self.doubted.clear()
        self.broken.clear()
        self.answered_at.clear()
        self.changes += 1
        self._tell()

    async def close(self) -> None:
        """End the connection; calls under way fail."""
        await self.backend.close()

    def _tell(self) -> None:
        """Have those who wait for a version look whether it is well."""
        self._news.set()
        self._news = asyncio.Event()

    def _fail_waiting(self, told: str, key: Key | None = None) -> None:
        self.changes += 1
        for asked in self.asked:
            concerned = key is None or (key == asked.key and asked.timeout_ms <= PATIENT_MS)
            if concerned and not asked.answer.done():
                asked.answer.set_exception(BackendUnavailable(told))

    def _give_up(self, asked: Asked) -> None:
        """Nobody waits for a call any more: leave it to run, or take it back."""
        if not asked.answer.done():
            asked.answer.cancel()
        self.doubted.add(asked.key)
        left = sum(1 for other in self.asked if other.left and other.key == asked.key)
        if left < self.left_calls:
            asked.left = True
        else:
            self._drop(asked)

    def _drop(self, asked: Asked) -> None:
        if asked in self.asked:
            self.asked.remove(asked)
        if asked.task is not None:
            asked.task.cancel()

    def _ended(self, asked: Asked, task: asyncio.Task[Floats]) -> None:
        known = asked in self.asked
        position = self.asked.index(asked) if known else 0
        if known:
            self.asked.remove(asked)
        if task.cancelled():
            if not asked.answer.done():
                asked.answer.set_exception(BackendUnavailable(self.outage or TAKEN_BACK))
            return
        error = task.exception()
        if not isinstance(error, BackendUnavailable | DeadlineExceeded):
            # An answer, if only to say that it failed.
            if known:
                self._note_answer(asked, position)
        else:
            self.doubted.add(asked.key)
            if known and asked.seconds >= BROKEN_SECONDS:
                self.broken.setdefault(asked.key, []).append(time.monotonic())
        if asked.answer.done():
            return
        if error is not None:
            asked.answer.set_exception(error)
        else:
            asked.answer.set_result(task.result())

    def _note_answer(self, answered: Asked, position: int) -> None:
        self.answered_at[answered.key] = time.monotonic()
        if answered.key in self.doubted:
            self.doubted.discard(answered.key)
            self._tell()
        for later in self.asked[position if self.in_order else 0 :]:
            if later.key == answered.key:
                later.seconds = 0.0

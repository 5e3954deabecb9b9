"""Which rows travel to Triton next: one line of waiting work for all models.

The cores are one resource, whichever model uses them, so there is one line. Interactive work goes
first; bulk work, cut into slices, goes behind it (`behind.py`). Rows that wait while a call is
under way travel together in the next one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from core.buckets import bucket_length
from core.tokenizer import Ids, pad
from service.backlog import Backlog
from service.behind import Behind
from service.cost import CostLine
from service.errors import BackendError, RequestError
from service.jobs import EngineCall, Job
from service.metrics import Metrics
from service.slices import MAX_ROWS
from service.trace import Trace

Floats = npt.NDArray[np.float32]
# Is shown a call that was answered, and its outputs, float32 of shape (rows, width).
Tap = Callable[[EngineCall, Floats], None]

# A call is sent so long before the one under way is predicted to end: about what the way to the
# engine takes. Later leaves the engine idle; earlier sends rows off before others can join them.
AHEAD_SECONDS = 0.002
# The machine, for a sum of shares such as three thirds.
WHOLE = 1.0 + 1e-9
# What waits is shared out over the instances of an engine, in calls of no fewer tokens than this:
# smaller ones would spend more on the way than on the engine.
SHARED_TOKENS = 128
# Rows of one request with so few tokens go to one call, however many instances there are.
UNDIVIDED_TOKENS = 128
# Kept free of a deadline when others are let into a call.
SPARE_MS = 5.0
# Triton's words for them, which a deployed Triton shared by several of us may heed.
PRIORITY = {False: 1, True: 2}


class InferenceBackend(Protocol):
    """Whatever runs engines: Triton in life, a fake at its wire in tests."""

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
        """Output rows of one padded batch, float32 of shape (rows, width)."""


class Scheduler:
    """Forms calls from waiting jobs and sends what the engines have room for, and one ahead.

    `shares` has the part of the machine that one call of each model takes: 1 where an engine uses
    all cores, 1/2 where two calls run side by side. `call_tokens` bounds a call, and with it the
    time that a new request waits for the one under way.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(
        self,
        backend: InferenceBackend,
        lines: Mapping[str, CostLine],
        metrics: Metrics,
        *,
        shares: Mapping[str, float],
        call_tokens: int,
    ) -> None:
        self._backend = backend
        self._lines = lines
        self._metrics = metrics
        self._shares = shares
        self._call_tokens = call_tokens
        self._interactive: dict[str, deque[Job]] = {model: deque() for model in lines}
        self._behind = Behind()
        self._calls: list[EngineCall] = []
        self._wake: asyncio.TimerHandle | None = None
        self.backlog = Backlog(lines, shares, self._calls, call_tokens=call_tokens)
        # Who wants to know of the first failure of a version, by model and version.
        self.watches: dict[tuple[str, str], asyncio.Future[BackendError]] = {}
        # Who wants to see what calls of a model were answered, by model.
        self.taps: dict[str, Tap] = {}

    async def run(self, job: Job) -> Floats:
        """Outputs of the job's rows, float32 of shape (rows, width), in the rows' order.

        Cancelling it takes the job out of the line, and a call back that no other job is in.

        Raises:
            DeadlineExceeded: the job's deadline passed, and the time for a late answer.
            Refused: it waited so long that it would not be through in time any more.
            BackendError: Triton failed; see `triton/client.py`.
        """
        self._line_of(job).append(job)
        self.backlog.add(job)
        expiry = asyncio.get_running_loop().call_later(job.wanted_seconds(), job.expire)
        self._pump()
        try:
            return await job.answer
        finally:
            expiry.cancel()
            self._leave(job)

    def wait_ms(self, model: str | None = None) -> float:
        """Predicted time until a call of that model, or of the one with most room, can begin."""
        share = self._shares[model] if model else min(self._shares.values())
        return self.backlog.wait_ms(share)

    def part_tokens(self, model: str, tokens: int) -> int:
        """Tokens of each part that an interactive request of so many is divided into.

        Sentences of one document run side by side where the engine has several instances.
        """
        return min(tokens, max(UNDIVIDED_TOKENS, math.ceil(tokens * self._shares[model])))

    def bulk_turn_seconds(self, begin_seconds: float) -> float:
        """Time that a bulk slice may take before work that begins `begin_seconds` from now."""
        if not self._behind.line or self._behind.seconds_to_turn() > begin_seconds:
            return 0.0
        head = self._behind.line[0]
        return self._lines[head.model].predict_ms(head.tokens) / 1000

    def _line_of(self, job: Job) -> deque[Job]:
        return self._behind.line_of(job) if job.bulk else self._interactive[job.model]

    def _leave(self, job: Job) -> None:
        """Forget a job that is answered, expired or given up, wherever it stands."""
        if job.call is None:
            line = self._line_of(job)
            if job in line:
                line.remove(job)
                self.backlog.remove(job)
        elif all(other.answer.done() for other in job.call.jobs) and job.call.task is not None:
            job.call.task.cancel()  # without effect when the call is what answered

    def _pump(self) -> None:
        """Send whatever may be sent now."""
        while jobs := self._next_jobs():
            self._send(EngineCall(jobs, self._lines[jobs[0].model]))

    def _next_jobs(self) -> list[Job]:
        """Jobs of one model that make up the next call; none where nothing may be sent."""
        oldest = self._oldest_interactive()
        behind = self._behind.line
        if behind and (oldest is None or self._behind.seconds_to_turn() <= 0):
            # One slice at a time, and never one that waits at Triton in front of others.
            alone = not any(call.bulk for call in self._calls)
            return self._take(behind) if alone and self._has_room(behind[0].model) else []
        if oldest is None:
            return []
        if self._has_room(oldest.model):
            return self._take(self._interactive[oldest.model])
        return self._next_ahead(oldest)

    def _has_room(self, model: str) -> bool:
        """Whether a call of that model would run now, and not wait for one under way."""
        if any(not call.started for call in self._calls):
            return False
        taken = sum(self._shares[call.model] for call in self._calls)
        return taken + self._shares[model] <= WHOLE

    def _next_ahead(self, oldest: Job) -> list[Job]:
        """The call after those under way, in time for the engine to find it when it is free.

        Only to the same model: two models at once would slow each other down, and the time that
        each takes could not be told.
        """
        if any(call.model != oldest.model or not call.started for call in self._calls):
            return []
        early = min(call.remaining_seconds() for call in self._calls) - AHEAD_SECONDS
        if early <= 0:
            return self._take(self._interactive[oldest.model])
        if self._wake is None:
            self._wake = asyncio.get_running_loop().call_later(early, self._woken)
        return []

    def _woken(self) -> None:
        self._wake = None
        self._pump()

    def _oldest_interactive(self) -> Job | None:
        """The job that has waited longest; those that cannot be in time any more are refused."""
        heads = []
        for model, line in self._interactive.items():
            while line and line[0].too_late(self._lines[model]):
                self.backlog.remove(line.popleft())
            if line:
                heads.append(line[0])
        return min(heads, key=lambda job: job.arrived, default=None)

    def _take(self, line: deque[Job]) -> list[Job]:
        """The jobs at the head of a line that fit one call; a bulk slice goes alone.

        Nobody joins who would make the call too long for one that is in it, or who was tokenized
        for another version.
        """
        jobs: list[Job] = []
        tokens = rows = 0
        end_ms = math.inf
        most_tokens, version = self._most_tokens(line[0].model), line[0].version
        while line and (not jobs or not jobs[0].bulk):
            job = line[0]
            tokens, rows = tokens + job.tokens, rows + len(job.rows)
            full = tokens > most_tokens or rows > MAX_ROWS
            if jobs and (full or self._lines[job.model].predict_ms(tokens) > end_ms):
                break
            if job.version != version:
                break
            self.backlog.remove(line.popleft())
            if not job.answer.done():
                jobs.append(job)
                end_ms = min(end_ms, 1000 * job.remaining_seconds() - SPARE_MS)
        return jobs

    def _most_tokens(self, model: str) -> float:
        """Tokens that the jobs of a call may have together: an instance's share of what waits."""
        own = self._shares[model] * self.backlog.waiting_tokens(model)
        return min(self._call_tokens, max(SHARED_TOKENS, own))

    def _send(self, call: EngineCall) -> None:
        if self._has_room(call.model):
            call.started = time.monotonic()
        self._calls.append(call)
        call.task = asyncio.get_running_loop().create_task(self._ask(call))

    async def _ask(self, call: EngineCall) -> None:
        rows = call.rows()
        input_ids, attention_mask = pad(rows, bucket_length(max(map(len, rows))))
        self._metrics.call_rows.observe(len(rows))
        self._metrics.padding_ratio.observe(input_ids.size / call.tokens)
        try:
            outputs = await self._backend.infer(
                call.model,
                input_ids,
                attention_mask,
                timeout_ms=1000 * max(job.wanted_seconds() for job in call.jobs),
                priority=PRIORITY[call.bulk],
                request_id=call.jobs[0].request_id,
                version=call.version,
                traces=call.traces,
            )
        except RequestError as error:
            call.fail(error)
            self._tell_of(error, call)
        except Exception as error:
            call.fail(error)
            raise
        else:
            call.took_ms = 1000 * call.elapsed_seconds()
            call.answer(outputs)
            self._learn(call, outputs)
        finally:
            self._ended(call)

    def _learn(self, call: EngineCall, outputs: Floats) -> None:
        if call.aside:  # maybe of another engine than the one that serves
            return
        self._lines[call.model].observe(call.tokens, call.took_ms)
        if call.model in self.taps:
            self.taps[call.model](call, outputs)

    def _tell_of(self, error: RequestError, call: EngineCall) -> None:
        watch = self.watches.get((call.model, call.version))
        if watch is not None and isinstance(error, BackendError) and not watch.done():
            watch.set_result(error)

    def _ended(self, call: EngineCall) -> None:
        now = time.monotonic()
        self._calls.remove(call)
        if call.bulk:
            self._behind.end(call)
        for waiting in self._calls:
            waiting.started = waiting.started or now
        self._pump()

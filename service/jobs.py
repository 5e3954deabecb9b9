"""What the scheduler moves about: jobs (rows of one request) and engine calls (rows of several)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from service.cost import CostLine
from service.errors import DeadlineExceeded, Refused
from service.trace import Trace

Floats = npt.NDArray[np.float32]

# Why a job that was admitted is not begun after all.
LATE = "late"


@dataclass(slots=True, eq=False)
class Job:
    """Rows of one request that go to the engine together. Times come from the monotonic clock.

    `rows` are token ids; `deadline` is when the request must be answered, and `late_seconds` how
    much later its answer is still wanted, once it is under way; `answer` becomes the outputs,
    float32 of shape (rows, width). `is_trial`: it runs whatever the line says of it.
    `version` is the one of the model that the rows were tokenized for; "" is whichever is served.
    `aside`: nobody's request, but asked to learn about an engine.
    """

    model: str
    rows: Sequence[list[int]]
    deadline: float
    bulk: bool
    answer: asyncio.Future[Floats]
    late_seconds: float = 0.0
    request_id: str = ""
    is_trial: bool = False
    version: str = ""
    aside: bool = False
    trace: Trace | None = None
    call: EngineCall | None = None
    arrived: float = field(default_factory=time.monotonic)
    tokens: int = 0

    def __post_init__(self) -> None:
        self.tokens = sum(map(len, self.rows))

    def remaining_seconds(self) -> float:
        """Time until the deadline, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    def wanted_seconds(self) -> float:
        """Time until its answer is not wanted any more, not even late; never negative."""
        return max(0.0, self.deadline + self.late_seconds - time.monotonic())

    def expire(self) -> None:
        """Fail the job: its deadline has passed, and the time for a late answer."""
        if not self.answer.done():
            self.answer.set_exception(DeadlineExceeded("not answered before its deadline"))

    def too_late(self, line: CostLine) -> bool:
        """Whether it is done with, or is refused here because it could not be through in time."""
        if self.answer.done():
            return True
        needed_ms, left_ms = line.predict_ms(self.tokens), 1000 * self.remaining_seconds()
        if self.is_trial or needed_ms <= left_ms:
            return False
        self.answer.set_exception(
            Refused(
                f"it waited longer than predicted: the engine needs {needed_ms:.0f} ms, "
                f"{left_ms:.0f} ms are left",
                reason=LATE,
                predicted_ms=needed_ms,
                allowed_ms=left_ms,
            )
        )
        return True


class EngineCall:
    """One call to Triton for the rows of several jobs of one version of one model.

    `started` is when the engine is taken to have begun: 0 while another call is before it.
    `took_ms` is how long it took, once it is answered.
    """

    def __init__(self, jobs: list[Job], line: CostLine) -> None:
        self.jobs = jobs
        self.model = jobs[0].model
        self.version = jobs[0].version
        self.bulk = jobs[0].bulk
        self.aside = jobs[0].aside
        self.tokens = sum(job.tokens for job in jobs)
        self.predicted_seconds = line.predict_ms(self.tokens) / 1000
        self.started = 0.0
        self.took_ms = 0.0
        self.task: asyncio.Task[None] | None = None
        traces = (job.trace for job in jobs if job.trace is not None)
        # The first becomes the parent of the call's span, which is only seen where that is sampled.
        self.traces = sorted(traces, key=lambda trace: not trace.recorded)
        for job in jobs:
            job.call = self

    def rows(self) -> list[list[int]]:
        """Token ids of all jobs' rows, one job after the other."""
        return [row for job in self.jobs for row in job.rows]

    def elapsed_seconds(self) -> float:
        """Time since the engine began with it."""
        return time.monotonic() - self.started if self.started else 0.0

    def remaining_seconds(self) -> float:
        """Predicted time to its end.

        A call that is overdue is expected to take as long again as it is overdue: one that hangs
        then counts as a growing backlog, and no request is admitted behind it.
        """
        return abs(self.predicted_seconds - self.elapsed_seconds())

    def answer(self, outputs: Floats) -> None:
        """Hand every job its own rows of `outputs`, float32 of shape (rows, width)."""
        begin = 0
        for job in self.jobs:
            end = begin + len(job.rows)
            if not job.answer.done():
                job.answer.set_result(outputs[begin:end])
            begin = end

    def fail(self, error: Exception) -> None:
        """Fail every job with the same error."""
        for job in self.jobs:
            if not job.answer.done():
                job.answer.set_exception(error)

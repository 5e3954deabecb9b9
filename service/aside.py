"""Asks a version of a model something, beside the requests of clients and behind them."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import numpy.typing as npt

from service.jobs import Job
from service.models import ServedModel
from service.scheduler import Scheduler

Floats = npt.NDArray[np.float32]


async def ask_aside(
    model: ServedModel, rows: list[list[int]], scheduler: Scheduler, seconds: float
) -> tuple[Floats, float]:
    """Outputs of rows of token ids, float32 of shape (rows, width), and the ms that the call took.

    It travels like bulk work: admission counts with it, and interactive requests go first.

    Raises:
        RequestError: no answer within `seconds`, or Triton failed.
    """
    job = Job(
        model=model.name,
        version=model.version,
        rows=rows,
        deadline=time.monotonic() + seconds,
        bulk=True,
        aside=True,
        answer=asyncio.get_running_loop().create_future(),
    )
    outputs = await scheduler.run(job)
    assert job.call is not None  # it was answered
    return outputs, job.call.took_ms

"""Sends the slices of a request to the engine, and those of bulk work again where they were lost.

A Triton that died is back in seconds, and whoever sends bulk work has allowed minutes. A slice
changes nothing there, so that it may be sent twice. While its model is away a request stands in no
line: nobody waits behind it, and admission counts nothing of it.

Only requests that came while their model answered are held. Of those that come later nobody could
say when there will be room for them, and their callers may find another instance at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from service.call import Call
from service.errors import BackendUnavailable, Sub50Error
from service.jobs import Job
from service.models import ModelCatalog, ServedModel
from service.pulse import PATIENT_MS, Pulse
from service.scheduler import Scheduler

Floats = npt.NDArray[np.float32]
# Token ids of rows.
Rows = list[list[int]]

# So long a model is waited for. Where starts fail the pauses between them grow longer than this,
# and whoever asked can do more about it than wait.
LONGEST_WAIT_SECONDS = 30.0
# A slice may be what its model dies of: so often it is given to Triton, and no more.
MOST_TIMES = 3


class Sender:
    """Sends slices for a pipeline; `models` tells which versions are served."""

    def __init__(self, scheduler: Scheduler, pulse: Pulse, models: ModelCatalog) -> None:
        self._scheduler = scheduler
        self._pulse = pulse
        self._models = models

    def note_arrival(self, model: ServedModel, call: Call) -> None:
        """Note whether the model of a request answers as it comes."""
        call.model_answered = self._pulse.is_well(model.name, model.version)

    async def send(self, model: ServedModel, slices: Sequence[Rows], call: Call) -> list[Floats]:
        """Outputs of each slice, float32 of shape (rows, width).

        The first error cancels the slices that are not through.

        Raises:
            RequestError: see `Scheduler.run`; BackendUnavailable where the model was lost, and is
                not waited for or was waited for in vain.
        """
        if len(slices) == 1:
            return [await self._outlast(model, slices[0], call)]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._outlast(model, rows, call)) for rows in slices]
        except* Sub50Error as failures:
            error: BaseException = failures
        else:
            return [task.result() for task in tasks]
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error

    async def _outlast(self, model: ServedModel, rows: Rows, call: Call) -> Floats:
        """Outputs of one slice, which is sent again once its model is back."""
        lost = 0
        while True:
            try:
                return await self._run(model, rows, call)
            except BackendUnavailable as error:
                lost += error.asked
                if lost == MOST_TIMES:
                    raise
                await self._until_back(model, call, error)

    async def _until_back(self, model: ServedModel, call: Call, lost: BackendUnavailable) -> None:
        """Wait for the model; raises what is to be told where it is not waited for, or in vain."""
        left_seconds = call.deadline - time.monotonic()
        is_patient = call.request_class == "bulk" and 1000 * left_seconds > PATIENT_MS
        # Triton comes back with the versions that are served by then.
        is_served = self._models.named(model.name).version == model.version
        if not (is_patient and is_served and call.model_answered):
            raise lost
        try:
            async with asyncio.timeout(min(LONGEST_WAIT_SECONDS, left_seconds)):
                await self._pulse.until_well(model.name, model.version)
        except TimeoutError:
            self._pulse.require(model.name, model.version)  # by now there may be more to tell
            raise lost from None

    async def _run(self, model: ServedModel, rows: Rows, call: Call) -> Floats:
        call.require_time()
        job = Job(
            model=model.name,
            version=model.version,
            rows=rows,
            deadline=call.deadline,
            late_seconds=call.late_answer_ms / 1000,
            bulk=call.request_class == "bulk",
            answer=asyncio.get_running_loop().create_future(),
            request_id=call.request_id,
            is_trial=call.is_trial,
            trace=call.trace,
        )
        return await self._scheduler.run(job)

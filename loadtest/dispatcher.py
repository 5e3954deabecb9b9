"""The open loop: every request leaves at its scheduled time, whatever became of those before it."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import TypeAlias

import gevent
import gevent.pool
import numpy as np

from loadtest.connections import Broken, Connections
from loadtest.pacer import Pacer
from loadtest.records import ERROR, OK, TIMEOUT, Records, outcome_of
from loadtest.workload import Workload

# Called with each request that finished: kind, latency in ms, and what went wrong, if anything.
Finished: TypeAlias = Callable[[str, float, str | None], None]
# Time between the call and the first request, for the schedule to start on time.
_LEAD_NS = 50_000_000
NOT_YET = -1


class Dispatcher:
    """Sends a workload over connections and keeps the times of each request."""

    def __init__(
        self, workload: Workload, connections: Connections, finished: Finished | None = None
    ) -> None:
        self._workload = workload
        self._connections = connections
        self._finished = finished
        size = len(workload.scheduled_us)
        # Plain lists: writing one element of a NumPy array takes three times as long.
        self._scheduled_us: list[int] = workload.scheduled_us.tolist()
        self._request: list[int] = workload.request.tolist()
        self._sent_us = [NOT_YET] * size
        self._finished_us = [NOT_YET] * size
        self._outcome = [TIMEOUT] * size
        self._status = [0] * size
        self._taken_up = 0
        self._origin_ns = 0

    def run(self) -> None:
        """Send everything and wait for the answers, each as long as its client would.

        May be killed with gevent's GreenletExit; `records` then holds what was sent until then.
        """
        pacer, in_flight = Pacer(), gevent.pool.Group()
        # A collection in the middle of a run would be a stall of our own making.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._origin_ns = time.monotonic_ns() + _LEAD_NS
            for index, scheduled_us in enumerate(self._scheduled_us):
                due_ns = self._origin_ns + scheduled_us * 1000
                if due_ns > time.monotonic_ns():
                    pacer.sleep_until(due_ns)
                self._taken_up = index + 1
                in_flight.add(gevent.spawn(self._send, index))
            in_flight.join()
        finally:
            in_flight.kill()
            gc.enable()
            gc.unfreeze()
            pacer.close()
            self._connections.close()

    def records(self) -> Records:
        """What became of each request taken up; one cut off by a kill is a timeout."""
        taken_up = slice(0, self._taken_up)
        now_us = self._now_us()
        self._sent_us = [now_us if time == NOT_YET else time for time in self._sent_us]
        self._finished_us = [now_us if time == NOT_YET else time for time in self._finished_us]
        return Records(
            scheduled_us=self._workload.scheduled_us[taken_up],
            sent_us=np.array(self._sent_us[taken_up], dtype=np.int64),
            finished_us=np.array(self._finished_us[taken_up], dtype=np.int64),
            outcome=np.array(self._outcome[taken_up], dtype=np.uint8),
            status=np.array(self._status[taken_up], dtype=np.uint16),
            kind=self._workload.kind[taken_up],
            kinds=self._workload.kinds,
        )

    def _send(self, index: int) -> None:
        self._sent_us[index] = self._now_us()
        request = self._workload.requests[self._request[index]]
        give_up_us = self._scheduled_us[index] + request.timeout_us
        status, outcome = 0, TIMEOUT
        problem: str | None = None
        try:
            status = self._connections.exchange(
                request.content, self._origin_ns + give_up_us * 1000
            )
            outcome = outcome_of(status)
        except TimeoutError:
            problem = "no answer in time"
        except Broken as error:
            outcome, problem = ERROR, f"broken connection: {error}"
        finally:
            self._finished_us[index] = finished_us = self._now_us()
        self._status[index] = status
        self._outcome[index] = outcome
        if self._finished is not None:
            if status and outcome != OK:
                problem = f"status {status}"
            latency_ms = (finished_us - self._scheduled_us[index]) / 1000
            self._finished(request.kind, latency_ms, problem)

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self._origin_ns) // 1000

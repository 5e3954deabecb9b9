"""Has files read and written in threads that nobody else needs.

A disk may take its time, and one behind a network may not answer at all. The event loop must not
wait for it. Nor may its own pool of threads: others need those, and the end of the process waits
for every one of them.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

ParametersT = ParamSpec("ParametersT")
ResultT = TypeVar("ResultT")

log = logging.getLogger("sub50.disk")

# Where so many wait for disks, what comes next waits for them.
MOST_THREADS = 16
SLOW_SECONDS = 10.0

_waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_idle = threading.Semaphore(0)
_threads: list[threading.Thread] = []


async def on_disk(
    work: Callable[ParametersT, ResultT],
    *arguments: ParametersT.args,
    **options: ParametersT.kwargs,
) -> ResultT:
    """What `work` returns or raises, from a thread that may stand still for as long as a disk does.

    Where the caller is cancelled the work goes on to its end, and where the process ends it is cut
    off: it has to be such that a kill does no harm.
    """
    outcome: Future[ResultT] = Future()
    outcome.set_running_or_notify_cancel()  # so that cancelling the caller does not stop it

    def run() -> None:
        try:
            outcome.set_result(work(*arguments, **options))
        except Exception as error:
            outcome.set_exception(error)

    _waiting.put(run)
    if not _idle.acquire(blocking=False) and len(_threads) < MOST_THREADS:
        # Not waited for at the end of the process, as those of an executor are.
        thread = threading.Thread(target=_work, name="disk", daemon=True)
        _threads.append(thread)
        thread.start()
    return await asyncio.wrap_future(outcome)


def _work() -> None:
    while True:
        _waiting.get()()
        _idle.release()


@contextmanager
def told_when_slow(what: str, seconds: float = SLOW_SECONDS) -> Iterator[None]:
    """Log a warning where the block, which reads `what`, takes longer than so many seconds.

    A start that waits for a disk would say nothing otherwise.
    """
    told = "%s are still being read after %g s: their disk is slow, or does not answer"
    timer = threading.Timer(seconds, log.warning, (told, what, seconds))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

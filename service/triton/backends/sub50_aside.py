"""Loads an engine in the time that the engines which serve leave over.

Starting Python's packages and preparing an engine takes a second or two of a core, for each
instance. When a version is loaded beside one that serves, that work is done on a thread which the
kernel runs only where nobody else wants the core. A thread, because a process without privileges
cannot raise its priority again: this one ends with its work, and the others were never lowered. A
marker file in the temporary folder of Triton's processes, which is theirs alone, says that others
serve: the configuration cannot, because Triton would take it for a changed model.

An engine with threads of its own would start them on that thread, with its priority: such a one is
prepared on one core instead, and has all of them again when it is ready.

Lies beside every backend's `model.py`: it may import nothing of this project.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")

MARKER = "load-aside"
CORES = os.sched_getaffinity(0)


def others_serve() -> bool:
    """Whether this process is started beside others that answer requests."""
    return (Path(tempfile.gettempdir()) / MARKER).exists()


def in_spare_time(work: Callable[[], Result]) -> Result:
    """Result of `work`, which starts no threads that outlive it; raises what it raises."""
    if not others_serve():
        return work()
    results: list[Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        with suppress(OSError):  # forbidden by a sandbox, say: then it is only less gentle
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="load-aside")
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return results[0]


def on_one_core(work: Callable[[], Result]) -> Result:
    """Result of `work`; threads that it leaves behind have all cores again afterwards."""
    if len(CORES) < 2 or not others_serve():
        return work()
    os.sched_setaffinity(0, {max(CORES)})
    try:
        return work()
    finally:
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError):  # it has ended
                os.sched_setaffinity(int(thread.name), CORES)


def import_first(*packages: str) -> None:
    """Import what takes long, so that the imports of whoever calls this find it there."""
    in_spare_time(lambda: [importlib.import_module(package) for package in packages])

"""One fault against one service under load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.connections import Connections
from chaos.fault import Fault
from chaos.load import Load
from chaos.processes import descendants_of, wait_until_ended
from chaos.questions import Question, learn
from chaos.readiness import ReadinessWatch
from chaos.row import Row, row_of
from chaos.stack import HOST, Stack

# What a killed service leaves has to be gone by itself after so long.
CLEAN_SECONDS = 10.0


@dataclass(frozen=True)
class Conditions:
    """How a trial goes: load for so long before the strike, and from the strike to the end."""

    rate_per_second: float = 60.0
    before_seconds: float = 5.0
    after_seconds: float = 20.0

    @property
    def seconds(self) -> float:
        """Length of the load."""
        return self.before_seconds + self.after_seconds


@dataclass
class Strike:
    """When a fault struck and was mended, on the clock of `time.monotonic()`."""

    struck: float = float("inf")
    mended: float = float("inf")

    @classmethod
    def now(cls) -> Strike:
        """One that strikes at this moment."""
        return cls(struck=time.monotonic())


def run_trial(fault: Fault, conditions: Conditions, folder: Path) -> Row:
    """Start a service in `folder`, break it under load, stop it, and count.

    Raises:
        ChaosError: the service cannot be started, or the fault found nothing to strike.
    """
    stack = Stack(folder, fault.environment)
    seen: set[int] = set()
    try:
        fault.prepare(stack)
        stack.start()
        questions = learn(HOST, stack.port)
        seen |= descendants_of(stack.pid)
        load, watch, strike = asyncio.run(_measure(fault, stack, conditions, questions))
        seen |= descendants_of(stack.pid)
    finally:
        stack.stop()
    return row_of(
        fault.name,
        load.sent,
        struck=strike.struck,
        mended=strike.mended,
        noticed=watch.noticed(strike.struck),
        ready_again=watch.ready_again(strike.struck),
        left=leftovers(seen, stack.files, CLEAN_SECONDS),
    )


async def _measure(
    fault: Fault, stack: Stack, conditions: Conditions, questions: list[Question]
) -> tuple[Load, ReadinessWatch, Strike]:
    connections = Connections(HOST, stack.port)
    load = Load(questions, lambda: connections, conditions.rate_per_second)
    watch = ReadinessWatch(HOST, stack.port)
    watching = asyncio.create_task(watch.run())
    sending = asyncio.create_task(load.run(conditions.seconds))
    try:
        await asyncio.sleep(conditions.before_seconds)
        strike = await _strike(fault, stack)
        await sending
    finally:
        sending.cancel()
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        connections.close()
    return load, watch, strike


async def _strike(fault: Fault, stack: Stack) -> Strike:
    strike = Strike.now()
    await asyncio.to_thread(fault.strike, stack)
    await asyncio.sleep(fault.held_seconds)
    await asyncio.to_thread(fault.mend, stack)
    # Without a time to hold it, there was nothing to mend.
    strike.mended = time.monotonic() if fault.held_seconds else strike.struck
    return strike


def leftovers(pids: set[int], files: Callable[[], list[str]], seconds: float) -> list[str]:
    """What is still there of these processes and files, once it had so long to go."""
    deadline = time.monotonic() + seconds
    running = wait_until_ended(pids, seconds)
    while (left := files()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return [*(f"process {pid}" for pid in sorted(running)), *left]

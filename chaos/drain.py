"""Instances told to end under load, one after the other: no request may be lost.

Two of them behind a balancer that sends to who is ready and retries nothing. Each gets SIGTERM in
its turn, and the next one's comes once it is back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from chaos.balancer import Balancer
from chaos.errors import ChaosError
from chaos.load import Load, Outcome, Sent
from chaos.processes import descendants_of, wait_until_ended
from chaos.questions import learn
from chaos.readiness import ReadinessWatch
from chaos.row import Row, row_of
from chaos.stack import HOST, Stack
from chaos.trial import Conditions, Strike

NAME = "drain"
REPETITIONS = 20
INSTANCES = 2
# Thirty times as long as the balancer takes to look again.
ENVIRONMENT = {"SUB50_DRAIN_SECONDS": "3"}
# Between one that is back and the SIGTERM of the other.
PAUSE_SECONDS = 1.0
END_SECONDS = 5.0
LONGEST_SECONDS = 3600.0


class Drains:
    """What was seen of the drains of one trial."""

    def __init__(self) -> None:
        self.strikes: list[Strike] = []
        self.in_flight: list[Sent] = []
        self.notice_seconds: list[float] = []
        self.left: list[str] = []


def run_drains(conditions: Conditions, folder: Path, repetitions: int = REPETITIONS) -> Row:
    """End and start instances `repetitions` times under load, and count over all of them.

    To notice takes as long as it did where it took longest.

    Raises:
        ChaosError: an instance cannot be started, or did not end in order.
    """
    stacks = [Stack(folder / str(number), ENVIRONMENT) for number in range(INSTANCES)]
    try:
        for stack in stacks:
            stack.folder.mkdir()
            stack.start()
        load, drains = asyncio.run(_measure(conditions, stacks, repetitions))
    finally:
        for stack in stacks:
            stack.stop()
    first = drains.strikes[0].struck
    row = row_of(
        f"{NAME}, {repetitions} times",
        load.sent,
        struck=first,
        mended=first,
        noticed=first + max(drains.notice_seconds),
        ready_again=first,
        left=drains.left,
    )
    lost = sum(each.outcome is Outcome.FAILED for each in drains.in_flight)
    return replace(row, in_flight=len(drains.in_flight), in_flight_failed=lost)


async def _measure(
    conditions: Conditions, stacks: list[Stack], repetitions: int
) -> tuple[Load, Drains]:
    questions = await asyncio.to_thread(learn, HOST, stacks[0].port)
    balancer = Balancer((HOST, stack.port) for stack in stacks)
    balancing = asyncio.create_task(balancer.run())
    load = Load(questions, balancer.choose, conditions.rate_per_second)
    drains = Drains()
    await asyncio.sleep(PAUSE_SECONDS)
    sending = asyncio.create_task(load.run(LONGEST_SECONDS))
    try:
        await asyncio.sleep(conditions.before_seconds)
        for number in range(repetitions):
            await _drain(stacks[number % len(stacks)], load, drains)
        load.stop()
        await sending
    finally:
        for task in (sending, balancing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return load, drains


async def _drain(stack: Stack, load: Load, drains: Drains) -> None:
    """End one instance and start it again."""
    watch = ReadinessWatch(HOST, stack.port)
    watching = asyncio.create_task(watch.run())
    below = descendants_of(stack.pid)
    strike = Strike.now()
    drains.strikes.append(strike)
    drains.in_flight += load.under_way
    status = await asyncio.to_thread(stack.stop)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    noticed = watch.noticed(strike.struck)
    if status != 0 or noticed is None:
        raise ChaosError(f"an instance did not end in order (status {status}): {stack.log_path}")
    drains.notice_seconds.append(noticed - strike.struck)
    running = await asyncio.to_thread(wait_until_ended, below, END_SECONDS)
    drains.left += [*(f"process {pid}" for pid in running), *stack.files()]
    await asyncio.to_thread(stack.start)
    await asyncio.sleep(PAUSE_SECONDS)

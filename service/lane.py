"""Whoever comes waits for a turn: so many a second, and of each address one after the other."""

from __future__ import annotations

import asyncio
from collections import deque

from service.keys.rate import RateLimit

Turn = asyncio.Future[None]


class Lane:
    """Lets `per_second` begin, `at_once` of them together; belongs to one event loop.

    Of those who wait, each address has one turn after the other, so that who sends many holds up
    himself. Where over `most_waiting` wait, the first of them goes at once: clients that have left
    must not pile up.
    """

    def __init__(self, per_second: float, at_once: int, most_waiting: int) -> None:
        self._limit = RateLimit(per_second, at_once)
        self._most_waiting = most_waiting
        # The address whose turn is next comes first.
        self._waiting: dict[str, deque[Turn]] = {}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, address: str) -> None:
        """Return when it is the turn of one of this address."""
        wait_seconds = 0.0
        if not self._waiting:
            wait_seconds = self._limit.wait_seconds()
            if not wait_seconds:
                return
        loop = asyncio.get_running_loop()
        turn: Turn = loop.create_future()
        self._waiting.setdefault(address, deque()).append(turn)
        self._count += 1
        if self._timer is None:
            self._timer = loop.call_later(wait_seconds, self._give_turns)
        if self._count > self._most_waiting:
            self._give_turn()
        await turn

    def _give_turns(self) -> None:
        self._timer = None
        while self._waiting:
            wait_seconds = self._limit.wait_seconds()
            if wait_seconds:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(wait_seconds, self._give_turns)
                return
            self._give_turn()

    def _give_turn(self) -> None:
        address = next(iter(self._waiting))
        turns = self._waiting.pop(address)
        turn = turns.popleft()
        if turns:  # behind all others
            self._waiting[address] = turns
        self._count -= 1
        if not turn.done():  # it is where the request was given up
            turn.set_result(None)

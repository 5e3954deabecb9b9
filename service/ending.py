"""How a service ends: what the first signal begins, and what further ones hurry.

SIGTERM begins a drain: the service is not ready, and serves on for a while. When that is over, or
at the next signal, the listener closes, and what is under way may finish. One more cuts it off.
SIGINT (Ctrl-C) and SIGHUP (the terminal is gone) close the listener at once.

Where there is no HTTP server any more, or not yet, the first signal ends the rest in order, which
takes bounded time, and the others are ignored: broken off, it would leave processes behind.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from service.drain import Drain
from service.unaccepted import taken_from

log = logging.getLogger("sub50.run")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# Who had connected when the listener closed has so long for the first request to come.
FIRST_REQUEST_SECONDS = 0.1


class Terminated(Exception):
    """A signal that ends came where no server was there to take it."""


def _handled() -> list[signal.Signals]:
    """Of the signals those that somebody, such as nohup, has not had ignored."""
    return [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]


def _ignore_further() -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


@contextmanager
def signals_raise() -> Iterator[None]:
    """The first signal that ends raises Terminated in the block, and further ones do nothing.

    Once one has come, they do nothing after the block either: all that is left is to exit.
    """
    before = {each: signal.signal(each, _terminate) for each in _handled()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    _ignore_further()
    raise Terminated


class DrainingServer(uvicorn.Server):
    """A server that goes on for `drain_seconds` after SIGTERM.

    Attributes:
        cut_off_by: the signal that cut off requests under way; None where all could finish.
    """

    def __init__(self, config: uvicorn.Config, drain: Drain, drain_seconds: float) -> None:
        super().__init__(config)
        self.cut_off_by: int | None = None
        self._drain = drain
        self._drain_seconds = drain_seconds
        self._closes_at = float("inf")
        self._told = False
        self._hurried_by: int | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take a signal."""
        if self.should_exit:
            self.force_exit = True
            self._hurried_by = sig
        elif sig == signal.SIGTERM and not self._drain.begun:
            self._closes_at = time.monotonic() + self._drain_seconds
        else:
            self.should_exit = True
        self._drain.begun = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; True ends."""
        if self._drain.begun and not self._told:
            self._told = True
            self._tell()
        if time.monotonic() >= self._closes_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, let what is under way finish or cut it off, and end the app."""
        await self._stop_listening(sockets or [])
        await super().shutdown(sockets)
        if self.force_exit:  # which leaves both to whoever cancels the loop's tasks
            if self.server_state.tasks:
                self.cut_off_by = self._hurried_by
            for task in self.server_state.tasks:
                task.cancel()
            await self.lifespan.shutdown()

    async def _stop_listening(self, listeners: list[socket.socket]) -> None:
        """Close the listeners, and serve who has connected to them."""
        # Nothing may come between the two, in which more could connect.
        taken = [each for listener in listeners for each in taken_from(listener)]
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        served = (loop.connect_accepted_socket(self._protocol, each) for each in taken)
        await asyncio.gather(*served, return_exceptions=True)
        # A connection that is closed with a request unread is reset.
        await asyncio.sleep(FIRST_REQUEST_SECONDS)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection that it accepts itself."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _tell(self) -> None:
        """Not in the handler of the signal, which may have come in the middle of a log line."""
        left_seconds = self._closes_at - time.monotonic()
        if not self.should_exit and left_seconds > 0:
            log.info(
                "stopping: requests are still served for %.1f s; a second signal ends that",
                left_seconds,
            )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take signals in the block; once one has come, further ones are ignored after it."""
        if threading.current_thread() is not threading.main_thread():  # which alone gets any
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in _handled()}
        try:
            yield
        finally:
            if self._drain.begun:
                _ignore_further()
            else:
                for number, handler in before.items():
                    signal.signal(number, handler)

"""Clients that hold connections: `python -m chaos.slow_clients PORT KIND COUNT`.

A process of its own, so that the load's own times are not theirs. What is closed on it, it opens
anew. It says `open` once all are, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass

from chaos.beside import until_told

HOST = "127.0.0.1"
# So many addresses they come from: one alone may not hold as many.
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 5)]
SEND_EVERY_SECONDS = 1.0
# After a connection was closed, or refused.
PAUSE_SECONDS = 0.5
OPEN_SECONDS = 30.0

HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Kind:
    """What is sent at first, and what again and again; nothing is read where `reads` is false."""

    first: bytes = b""
    again: bytes = b""
    reads: bool = True


KINDS = {
    "idle": Kind(),
    "headers": Kind(HEAD, b"X-Slow: a\r\n"),
    "bodies": Kind(HEAD + b"Content-Length: 8000000\r\n\r\n{", b" "),
    # The largest answer there is. Lines between requests count for nothing.
    "readers": Kind(
        b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n",
        reads=False,
    ),
}


class SlowClients:
    """`count` connections of one kind to a port of this machine.

    Attributes:
        open: how many are open now.
        closed: how many the service has closed.
        all_opened: set once each has been open.
    """

    def __init__(self, port: int, kind: Kind, count: int) -> None:
        self.open = 0
        self.closed = 0
        self.all_opened = asyncio.Event()
        self._port, self._kind, self._count = port, kind, count

    async def run(self) -> None:
        """Hold them until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._count):
                tasks.create_task(self._hold(ADDRESSES[number % len(ADDRESSES)]))

    async def _hold(self, address: str) -> None:
        while True:
            with suppress(OSError, TimeoutError):
                reader, writer = await asyncio.wait_for(
                    asyncio.open_connection(HOST, self._port, local_addr=(address, 0)), OPEN_SECONDS
                )
                self.open += 1
                if self.open + self.closed >= self._count:
                    self.all_opened.set()
                try:
                    with suppress(OSError):  # closed while something was on its way to it
                        await self._keep(reader, writer)
                finally:
                    self.open -= 1
                    writer.close()
                self.closed += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send a little from time to time, until the other side has enough of it."""
        if not self._kind.reads:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(self._kind.first)
        while not writer.is_closing():
            with suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(1 << 16), SEND_EVERY_SECONDS):
                    return
            writer.write(self._kind.again)
            await writer.drain()


async def hold(port: int, kind: Kind, count: int) -> None:
    """Hold connections until the standard input ends."""
    clients = SlowClients(port, kind, count)
    running = asyncio.create_task(clients.run())
    await clients.all_opened.wait()
    await until_told(running)
    print(f"{clients.closed} of their connections were closed", flush=True)


if __name__ == "__main__":
    asyncio.run(hold(int(sys.argv[1]), KINDS[sys.argv[2]], int(sys.argv[3])))

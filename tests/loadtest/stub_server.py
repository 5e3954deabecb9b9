"""A small HTTP server with faults on demand, run as a process of its own.

    python -m tests.loadtest.stub_server '{"delay_ms": 20}'

prints its port. `statuses` are answered in turn; 0 breaks the connection. With `stall_every` the
whole server stands still for `stall_seconds` every so many seconds. Connections are closed
`keep_alive_ms` after an answer. /readyz answers `ready`, /connections how many were made before,
/metrics nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from typing import Any


def answer(status: int, body: bytes = b'{"results": []}') -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


class Stub(asyncio.Protocol):
    def __init__(self, options: dict[str, Any], statuses: Any) -> None:
        self.options, self.statuses = options, statuses
        self.options["made"] = self.options.get("made", -1) + 1
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        _, _, length = head.partition(b"Content-Length: ")
        size = int(length.split(b"\r\n")[0] or b"0")
        if not separator or len(rest) < size:
            return
        self.received = rest[size:]
        if head.startswith(b"GET /readyz"):
            self.transport.write(answer(self.options.get("ready", 200)))
            return
        if head.startswith(b"GET /metrics"):
            self.transport.write(answer(404))
            return
        if head.startswith(b"GET /connections"):
            self.transport.write(answer(200, b"%d" % self.options["made"]))
            return
        status = next(self.statuses)
        delay_seconds = self.options.get("delay_ms", 0) / 1000
        asyncio.get_running_loop().call_later(delay_seconds, self.send, status)

    def send(self, status: int) -> None:
        if not status:
            self.transport.abort()
            return
        self.transport.write(answer(status))
        if "keep_alive_ms" in self.options:
            seconds = self.options["keep_alive_ms"] / 1000
            asyncio.get_running_loop().call_later(seconds, self.transport.close)


async def main(options: dict[str, Any]) -> None:
    statuses = itertools.cycle(options.get("statuses", [200]))
    server = await asyncio.get_running_loop().create_server(
        lambda: Stub(options, statuses), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    every = options.get("stall_every")
    while every:
        await asyncio.sleep(every - options["stall_seconds"])
        time.sleep(options["stall_seconds"])  # noqa: ASYNC251
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))

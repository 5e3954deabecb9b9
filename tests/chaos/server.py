"""A small HTTP server whose answers a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

# What to send for the number of the request on its connection, counted from 0; b"" closes it.
Replies = Callable[[int], bytes]


def reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class _Served(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self, replies: Replies, served: list[int], open_ones: set[_Served]) -> None:
        self.replies, self.served, self.open_ones = replies, served, open_ones
        self.number = len(served)
        served.append(0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open_ones.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_ones.discard(self)

    def data_received(self, data: bytes) -> None:
        assert data.endswith(b"\r\n\r\n")
        answer = self.replies(self.served[self.number])
        self.served[self.number] += 1
        if answer:
            self.transport.write(answer)
        else:
            self.transport.close()


@asynccontextmanager
async def serving(replies: Replies) -> AsyncIterator[tuple[int, Sequence[int]]]:
    """Yields its port, and a list with the number of requests of each connection."""
    served: list[int] = []
    open_ones: set[_Served] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Served(replies, served, open_ones), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1], served
    finally:
        server.close()
        for each in list(open_ones):
            each.transport.abort()
        await asyncio.sleep(0.01)  # for their ends

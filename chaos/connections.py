"""Keep-alive HTTP connections for asyncio that keep the answer, and never send anything twice."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from dataclasses import dataclass, field

import httptools

# Servers close idle connections after two seconds and more; a request must not meet that.
LONGEST_IDLE_SECONDS = 1.5


class Broken(Exception):
    """The connection could not be made, broke, or carried no HTTP."""


@dataclass
class Answer:
    """An HTTP answer: header names in lower case, the whole body."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


class _Connection(asyncio.Protocol):
    """One connection, one request at a time; httptools calls the methods named `on_…`."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.reusable = False
        self.used = time.monotonic()
        self._answer = Answer()
        self._waiting: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes) -> Answer:
        assert self.transport is not None
        self.reusable = False
        self._answer = Answer()
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._waiting

    def usable(self) -> bool:
        """Still open: nothing is ever sent to find out."""
        assert self.transport is not None
        if not self.reusable or self.transport.is_closing():
            return False
        if time.monotonic() - self.used > LONGEST_IDLE_SECONDS:
            return False
        # Readable before anything was asked: the other side has closed it.
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        # Without this the last segment of a long request waits for an acknowledgement that the
        # other side delays by 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        self._fail(type(exc).__name__ if exc else "closed before the answer")

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"no HTTP: {error}")
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._answer.content += body

    def on_message_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self.reusable = self._parser.should_keep_alive()
        self.used = time.monotonic()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)

    def _fail(self, why: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Broken(why))


class Connections:
    """As many connections to one address as are needed; the one used last is used next.

    They come from `source`, an address of this machine; None is any.
    """

    def __init__(self, host: str, port: int, source: str | None = None) -> None:
        self._address = (host, port)
        self._source = None if source is None else (source, 0)
        self._idle: list[_Connection] = []

    async def exchange(self, request: bytes) -> Answer:
        """Send a whole request and return its answer; cancelling closes the connection.

        Raises:
            Broken: the connection could not be made, broke, or carried no HTTP.
        """
        connection = self._kept() or await self._connect()
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection, *self._address, local_addr=self._source
            )
        except OSError as error:
            raise Broken(f"cannot connect: {type(error).__name__}") from error
        return connection

"""Unary gRPC calls over a Unix socket, side by side on one connection, in the event loop itself.

gRPC for Python waits for answers in a thread of its own, which wakes the event loop through a pipe:
on a machine with two cores a call to a Triton beside us costs half as much without
(BENCHMARKS.md, "The profile"). What goes over the wire is the same. Targets elsewhere keep gRPC,
which finds addresses, shares calls out over them, and notices hosts that are gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from grpc import StatusCode

from service.triton import http2
from service.triton.streams import CallFailed, Connection

# POST, http, and names of RFC 7541's table: path, authority, content type.
BEFORE_PATH, BEFORE_REST = b"\x83\x86\x04", b"\x01\x09localhost\x0f\x10\x10application/grpc"
REST = BEFORE_REST + http2.literal(b"te", b"trailers")

Metadata = Sequence[tuple[str, str]]


class UnaryCalls:
    """Calls to the gRPC server behind a Unix socket, which connect when there is no connection.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def call(
        self, method: str, message: bytes, timeout_seconds: float, metadata: Metadata = ()
    ) -> bytes:
        """The answer to a message, both serialized.

        Args:
            method: its path, such as `/inference.GRPCInferenceService/ModelInfer`.
            message: at most as large as the server takes.
            timeout_seconds: bounds the call, and the server is told.
            metadata: names in lower case, and values of ASCII.

        Raises:
            CallFailed: the server said so, or it cannot be reached, or the time is over.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                connection = self._connection
                if connection is None or not connection.usable:
                    connection = await self._connected()
                headers = headers_of(method, timeout_seconds, metadata)
                stream, call = connection.begin(headers, message)
                try:
                    return await call.answer
                finally:
                    connection.cancel(stream)
        except TimeoutError:
            raise CallFailed(StatusCode.DEADLINE_EXCEEDED, "no answer in time") from None

    async def close(self) -> None:
        """Close the connection; calls under way fail, and later ones."""
        self._closed = True
        if self._connection is not None:
            self._connection.close()

    async def _connected(self) -> Connection:
        async with self._connecting:
            if self._closed:
                raise CallFailed(StatusCode.UNAVAILABLE, "it was closed")
            if self._connection is None or not self._connection.usable:
                loop = asyncio.get_running_loop()
                try:
                    _, self._connection = await loop.create_unix_connection(Connection, self._path)
                except OSError as error:
                    raise CallFailed(StatusCode.UNAVAILABLE, str(error)) from error
            return self._connection


def headers_of(method: str, timeout_seconds: float, metadata: Metadata) -> bytes:
    """The headers that open a call."""
    path = method.encode("ascii")
    timeout = b"%dm" % math.ceil(timeout_seconds * 1000)
    block = BEFORE_PATH + http2.length(path) + path + REST + http2.literal(b"grpc-timeout", timeout)
    for name, value in metadata:
        block += http2.literal(name.encode("ascii"), value.encode("ascii"))
    return block

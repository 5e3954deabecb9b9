"""What the tests of calls over a Unix socket share: servers, and calls to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.triton.unary import CallFailed, UnaryCalls

ECHO = "/test/Echo"
Handler = Callable[[bytes, grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]


@asynccontextmanager
async def grpc_server(
    path: Path, handler: Handler, **options: int
) -> AsyncIterator[grpc.aio.Server]:
    """gRPC's own server, with one method that takes and gives bytes."""
    limits = {"grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1}
    server = grpc.aio.server(options=list((limits | options).items()))
    method = grpc.unary_unary_rpc_method_handler(handler)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test", {"Echo": method}),)
    )
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        yield server
    finally:
        await server.stop(None)


@asynccontextmanager
async def calls_to(path: Path) -> AsyncIterator[UnaryCalls]:
    calls = UnaryCalls(str(path))
    try:
        yield calls
    finally:
        await calls.close()


async def echo(message: bytes, _context: Any) -> bytes:
    return message


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(limited())


async def failure_of(call: Awaitable[bytes]) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await call
    return caught.value

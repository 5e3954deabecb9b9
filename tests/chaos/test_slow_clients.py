"""The slow clients do what they say, and go when they are told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter

import pytest

from chaos.faults.slow_clients import SlowHeaders
from chaos.slow_clients import ADDRESSES, HEAD, KINDS, SlowClients
from chaos.stack import ROOT, Stack
from tests.service.api_process import until


class Listener:
    """Notes what comes from whom, and closes after some bytes if it is told to."""

    def __init__(self, closes_after: int | None = None) -> None:
        self.received: dict[tuple[str, int], bytes] = {}
        self._closes_after = closes_after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")
        self.received[client] = b""
        while part := await reader.read(65536):
            self.received[client] += part
            if self._closes_after is not None and len(self.received[client]) > self._closes_after:
                break
        writer.close()


async def _watched(kind: str, seconds: float, closes_after: int | None) -> tuple[Listener, int]:
    listener = Listener(closes_after)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
    clients = SlowClients(server.sockets[0].getsockname()[1], KINDS[kind], 8)
    running = asyncio.create_task(clients.run())
    async with asyncio.timeout(10):
        await clients.all_opened.wait()
    await asyncio.sleep(seconds)
    running.cancel()
    await asyncio.wait([running])
    server.close()
    await asyncio.sleep(0.05)
    return listener, clients.closed


@pytest.mark.parametrize("kind", KINDS)
def test_each_sends_a_little_and_holds_its_connection(kind: str) -> None:
    listener, closed = asyncio.run(_watched(kind, 1.5, None))
    assert closed == 0
    assert Counter(host for host, _ in listener.received) == dict.fromkeys(ADDRESSES, 2)
    expected = KINDS[kind].first + KINDS[kind].again
    assert all(content == expected for content in listener.received.values())


def test_what_is_closed_is_opened_anew() -> None:
    listener, closed = asyncio.run(_watched("headers", 1.2, len(HEAD) - 1))
    assert closed >= 8
    assert len(listener.received) >= 16


def test_what_is_reset_counts_as_closed() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await asyncio.sleep(0.1)  # until it waits for an answer
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    async def trial() -> int:
        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        clients = SlowClients(server.sockets[0].getsockname()[1], KINDS["bodies"], 8)
        running = asyncio.create_task(clients.run())
        async with asyncio.timeout(10):
            await clients.all_opened.wait()
        await asyncio.sleep(0.4)
        running.cancel()
        await asyncio.wait([running])
        server.close()
        return clients.closed

    assert asyncio.run(trial()) >= 8


def test_they_go_when_they_are_told() -> None:
    listener = Listener()

    async def trial() -> None:
        server = await asyncio.start_server(listener.serve, "127.0.0.1", 0)
        stack = Stack(ROOT)
        stack.port = server.sockets[0].getsockname()[1]
        fault = SlowHeaders(clients=20)
        await asyncio.to_thread(fault.strike, stack)
        # The clients are connected before this side has accepted them.
        await asyncio.to_thread(until, lambda: len(listener.received) == 20, 10)
        await asyncio.to_thread(fault.mend, stack)
        server.close()

    asyncio.run(trial())

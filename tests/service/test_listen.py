"""What the API's listening socket hands to the event loop."""

from __future__ import annotations

import asyncio
import socket

from service.run import listen
from service.settings import Settings


def test_small_packets_leave_at_once_with_asyncios_own_loop() -> None:
    """Else the body waits for the client to confirm the headers: 40 ms on kept connections."""
    assert asyncio.run(no_delay_of_a_connection(listen(Settings(port=0)))) == 1


async def no_delay_of_a_connection(listener: socket.socket) -> int:
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(serve, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        async with asyncio.timeout(10):
            no_delay = await found
        writer.close()
        await writer.wait_closed()
    return no_delay

"""Who has connected when the listener closes is answered, and not reset."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import ExitStack
from socket import create_connection, socket

import pytest
from fastapi import FastAPI

from service.connections import Connections
from service.drain import Drain
from service.ending import DrainingServer
from service.run import listen, make_server
from service.settings import Settings
from tests.service.raw_client import RawClient

CLIENTS = 40
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Run = Callable[[DrainingServer, socket], None]


def with_uvloop(server: DrainingServer, listener: socket) -> None:
    server.run(sockets=[listener])


def with_asyncio(server: DrainingServer, listener: socket) -> None:
    asyncio.run(server.serve(sockets=[listener]))


@pytest.mark.parametrize("run", [with_uvloop, with_asyncio])
@pytest.mark.parametrize("asked_after_seconds", [0.0, 0.03])
def test_who_has_connected_when_the_listener_closes_is_answered(
    monkeypatch: pytest.MonkeyPatch, run: Run, asked_after_seconds: float
) -> None:
    """They connect while the event loop stands still, so that it has accepted none of them."""
    app, settings = FastAPI(), Settings(port=0)

    @app.get("/")
    async def here() -> str:
        return "here"

    listener = listen(settings)
    address = listener.getsockname()
    url = f"http://127.0.0.1:{address[1]}"
    server = make_server(settings, Connections(settings), lambda: app, Drain())
    clients: list[RawClient] = []

    def ask() -> None:
        for client in clients:
            client.send(REQUEST)

    asking = threading.Timer(asked_after_seconds, ask)

    async def connect_and_end(_counter: int) -> bool:
        clients.extend(stack.enter_context(RawClient(url)) for _ in range(CLIENTS))
        if asked_after_seconds:
            asking.start()
        else:
            ask()
        return True

    monkeypatch.setattr(server, "on_tick", connect_and_end)
    with ExitStack() as stack:
        running = threading.Thread(target=run, args=(server, listener))
        running.start()
        running.join(20)
        assert not running.is_alive()
        assert [client.receive().status for client in clients] == [200] * CLIENTS
        asking.cancel()
    with pytest.raises(ConnectionRefusedError):
        create_connection(address)

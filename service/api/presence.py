"""Stops the work for a client that has closed its connection, or that of a service that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import Request

from service.drain import is_stopping
from service.errors import ClientGone, Stopping

# Interactive answers are on their way before this; watching the others costs a task each.
WATCH_AFTER_SECONDS = 0.05


@contextmanager
def given_up_when_gone(request: Request) -> Iterator[None]:
    """Cancel the block when the client disconnects; the request's body must have been read.

    Raises:
        ClientGone: instead of the cancellation.
        Stopping: the service is being stopped, and the request has had its time to finish.
    """
    loop = asyncio.get_running_loop()
    worker = asyncio.current_task()
    assert worker is not None
    watcher: asyncio.Task[None] | None = None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while not gone:
            gone = (await request.receive())["type"] == "http.disconnect"
        worker.cancel()

    def begin() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timer = loop.call_later(WATCH_AFTER_SECONDS, begin)
    try:
        yield
    except asyncio.CancelledError:
        if not gone:
            if not is_stopping(request.scope):
                raise
            worker.uncancel()
            raise Stopping("the service is being stopped; send it again, to another") from None
        worker.uncancel()
        raise ClientGone("the client closed the connection") from None
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()

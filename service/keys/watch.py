"""Takes over what changes in the files of keys while requests come in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.keys.store import KeyStore

log = logging.getLogger("sub50.keys")

POLL_SECONDS = 0.5


@asynccontextmanager
async def followed(
    store: KeyStore, on_poll: Callable[[], None], poll_seconds: float = POLL_SECONDS
) -> AsyncIterator[None]:
    """Follow the files for as long as the block runs; `on_poll` is called after each look.

    Files are read in a thread: a share of the network may take its time.
    """
    if not store.files:
        yield
        return

    async def follow() -> None:
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                if await asyncio.to_thread(store.poll):
                    store.take_over()
                on_poll()
            except Exception:
                log.exception("files of keys could not be followed; the keys of before still count")

    task = asyncio.create_task(follow(), name="keys")
    try:
        yield
    finally:
        task.cancel()

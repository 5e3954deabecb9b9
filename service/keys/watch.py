"""Takes over what changes in the files of keys while requests come in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from service.disk import on_disk
from service.keys.store import KeyStore

log = logging.getLogger("sub50.keys")

POLL_SECONDS = 0.5
# A look at the files that takes longer is their fault: what was changed does not count yet.
SLOW_SECONDS = 5.0


@asynccontextmanager
async def followed(
    store: KeyStore,
    on_poll: Callable[[], None],
    poll_seconds: float = POLL_SECONDS,
    slow_seconds: float = SLOW_SECONDS,
) -> AsyncIterator[None]:
    """Follow the files for as long as the block runs; `on_poll` is called after each look.

    It is called too where a look takes longer than `slow_seconds`.
    """
    if not store.files:
        yield
        return

    async def follow() -> None:
        while True:
            await asyncio.sleep(poll_seconds)
            try:
                if await _looked(store, on_poll, slow_seconds):
                    store.take_over()
                on_poll()
            except Exception:
                log.exception("files of keys could not be followed; the keys of before still count")

    task = asyncio.create_task(follow(), name="keys")
    try:
        yield
    finally:
        task.cancel()


async def _looked(store: KeyStore, on_slow: Callable[[], None], slow_seconds: float) -> bool:
    """What a poll of the store returns; one that takes long is noted, and goes on."""
    poll = asyncio.ensure_future(on_disk(store.poll))
    try:
        while not (await asyncio.wait({poll}, timeout=slow_seconds))[0]:
            store.note_slow()
            on_slow()
        return poll.result()
    finally:
        poll.cancel()

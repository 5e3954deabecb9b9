"""What processes of clients beside the load have in common: how they are told to end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Any


async def until_told(running: asyncio.Task[Any]) -> None:
    """Say `open`, let `running` go on until standard input ends, and cancel it."""
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

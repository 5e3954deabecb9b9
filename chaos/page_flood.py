"""Cheap requests, as fast as they are answered: `python -m chaos.page_flood PORT`.

A process of its own, so that the load's own times are not its. Says `open` once it has begun, and
ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from chaos.beside import until_told
from chaos.connections import Broken, Connections
from chaos.stack import HOST

# Another than that of the load: addresses take turns.
ADDRESS = "127.0.2.2"
AT_A_TIME = 100
PATHS = ("/openapi.json", "/v1/board", "/livez", "/nothing", "/metrics")


async def flood(port: int) -> int:
    """Ask until told to end; how many answers there were."""
    connections = Connections(HOST, port, ADDRESS)
    answers = 0

    async def ask(path: str) -> None:
        nonlocal answers
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        while True:
            with suppress(Broken):
                await connections.exchange(request)
                answers += 1

    async def ask_all() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(AT_A_TIME):
                tasks.create_task(ask(PATHS[number % len(PATHS)]))

    await until_told(asyncio.create_task(ask_all()))
    connections.close()
    return answers


if __name__ == "__main__":
    print(f"{asyncio.run(flood(int(sys.argv[1])))} answers")

"""Far more requests than can be answered: `python -m chaos.flood PORT RATE`.

A process of its own, so that the load's own times are not its. Says `open` once it has begun, and
ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from chaos.beside import until_told
from chaos.connections import Connections
from chaos.load import Load
from chaos.questions import Question, unlearned
from chaos.stack import HOST

# Another than that of the load: no address may have more than its share of connections.
ADDRESS = "127.0.2.1"
LONGEST_SECONDS = 600.0


async def flood(port: int, rate_per_second: float, questions: list[Question]) -> Load:
    """Send until cancelled; what becomes of it is of no interest."""
    connections = Connections(HOST, port, ADDRESS)
    load = Load(questions, lambda: connections, rate_per_second, seed=2)
    await until_told(asyncio.create_task(load.run(LONGEST_SECONDS)))
    connections.close()
    return load


if __name__ == "__main__":
    asyncio.run(flood(int(sys.argv[1]), float(sys.argv[2]), unlearned(HOST, int(sys.argv[1]))))

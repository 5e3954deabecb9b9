"""A balancer such as Kubernetes' services: it sends to who is ready, and retries nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from chaos.connections import Broken, Connections
from chaos.readiness import ReadinessWatch


class Balancer:
    """Keeps connections to several instances, given as host and port, and asks each for /readyz."""

    def __init__(self, addresses: Iterable[tuple[str, int]]) -> None:
        self._instances = [
            (Connections(*address), ReadinessWatch(*address)) for address in addresses
        ]
        self._turn = 0

    def choose(self) -> Connections:
        """Connections to the next instance that was ready when it was last asked.

        Raises:
            Broken: none was.
        """
        for _ in self._instances:
            self._turn = (self._turn + 1) % len(self._instances)
            connections, watch = self._instances[self._turn]
            if watch.ready:
                return connections
        raise Broken("no instance is ready")

    async def run(self) -> None:
        """Ask until it is cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _, watch in self._instances:
                    tasks.create_task(watch.run())
        finally:
            for connections, _ in self._instances:
                connections.close()

"""What a balancer sees: /readyz, asked ten times a second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from chaos.connections import Broken, Connections

EVERY_SECONDS = 0.1
# As long as Kubernetes' probe in deploy/ waits.
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True)
class Seen:
    """One answer: when it came, on the clock of `time.monotonic()`, and whether it was a 200."""

    at: float
    ready: bool


class ReadinessWatch:
    """Asks one instance for as long as `run` does; no answer counts as not ready."""

    def __init__(self, host: str, port: int) -> None:
        self.seen: list[Seen] = []
        self._host, self._port = host, port
        lines = ["GET /readyz HTTP/1.1", f"Host: {host}:{port}", "Connection: close", "", ""]
        self._request = "\r\n".join(lines).encode()

    @property
    def ready(self) -> bool:
        """The last answer."""
        return bool(self.seen) and self.seen[-1].ready

    async def run(self) -> None:
        """Ask until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._ask())
                await asyncio.sleep(EVERY_SECONDS)

    def noticed(self, since: float) -> float | None:
        """When it first was not ready after `since`."""
        return next((each.at for each in self.seen if each.at > since and not each.ready), None)

    def ready_again(self, since: float) -> float | None:
        """When it was ready after the last time it was not; `since` where it always was.

        None where it is not ready now.
        """
        last_not = max(
            (number for number, each in enumerate(self.seen) if not each.ready and each.at > since),
            default=None,
        )
        if last_not is None:
            return since
        following = self.seen[last_not + 1 :]
        return following[0].at if following else None

    async def _ask(self) -> None:
        ready = False
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await Connections(self._host, self._port).exchange(self._request)
            ready = answer.status == 200
        except (TimeoutError, Broken):
            pass
        self.seen.append(Seen(time.monotonic(), ready))

"""What a test has going on in a thread of its own while it looks."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from chaos.background import Background


class SteadyLoad(Background):
    """Calls `_ask` with 0, 1, … at a steady rate, whether or not earlier calls have ended."""

    def __init__(self, per_second: float) -> None:
        super().__init__()
        self._per_second = per_second

    def _run(self) -> None:
        begun, number = time.monotonic(), 0
        with ThreadPoolExecutor(64) as pool:
            while not self._over.wait(
                max(0.0, begun + number / self._per_second - time.monotonic())
            ):
                pool.submit(self._ask, number)
                number += 1

    def _ask(self, number: int) -> None:
        raise NotImplementedError

"""What a test has going on in a thread of its own while it looks."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Self


class Background:
    """Runs `_run` in a thread for as long as the block; that has to end once `_over` is set."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError


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

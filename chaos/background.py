"""What goes on in a thread of its own for as long as something else is looked at."""

from __future__ import annotations

import threading
from typing import Self


class Background:
    """Runs `_run` in a thread for as long as the block; that has to end once `_over` is set."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError

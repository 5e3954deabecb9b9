"""Faults that are clients, in a process of their own: the load's own times are not theirs."""

from __future__ import annotations

import subprocess
import sys

from chaos.errors import ChaosError
from chaos.fault import Fault
from chaos.stack import ROOT, Stack

STOP_SECONDS = 30


class Clients(Fault):
    """Runs `python -m MODULE PORT …`, which says `open` and ends when its standard input does."""

    module = ""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def strike(self, stack: Stack) -> None:
        """Start them, and wait until they have begun.

        Raises:
            ChaosError: they ended before.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module, str(stack.port), *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "open":
            raise ChaosError(f"the clients of {self.name} ended before they had begun")

    def mend(self, stack: Stack) -> None:
        """They go away."""
        if self._process is not None:
            self._process.communicate(timeout=STOP_SECONDS)

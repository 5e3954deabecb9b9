"""Requests at many times the rate that the service can answer: those of others are still right."""

from __future__ import annotations

import subprocess
import sys

from chaos.errors import ChaosError
from chaos.fault import Fault
from chaos.stack import ROOT, Stack

RATE_PER_SECOND = 500
STOP_SECONDS = 30


class Flood(Fault):
    """A client that sends far more than the service can answer, for ten seconds."""

    name = "flood"
    held_seconds = 10.0

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def strike(self, stack: Stack) -> None:
        """Begin."""
        command = [sys.executable, "-m", "chaos.flood", str(stack.port), str(RATE_PER_SECOND)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "open":
            raise ChaosError("the flood did not begin")

    def mend(self, stack: Stack) -> None:
        """It ends."""
        if self._process is not None:
            self._process.communicate(timeout=STOP_SECONDS)


FAULTS = (Flood(),)

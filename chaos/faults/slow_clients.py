"""Clients that take their time, a thousand at once: nobody else is to notice."""

from __future__ import annotations

import subprocess
import sys

from chaos.errors import ChaosError
from chaos.fault import Fault
from chaos.stack import ROOT, Stack

CLIENTS = 1000
# Longer than the service's own patience, so that it has to end them all at least once.
HELD_SECONDS = 14.0


class _SlowClients(Fault):
    """Base of those below. `kind` is one of `chaos.slow_clients`."""

    kind = ""
    held_seconds = HELD_SECONDS

    def __init__(self, clients: int = CLIENTS) -> None:
        self._clients = clients
        self._process: subprocess.Popen[str] | None = None

    def strike(self, stack: Stack) -> None:
        """Open them all."""
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "chaos.slow_clients",
                str(stack.port),
                self.kind,
                str(self._clients),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "open":
            raise ChaosError("the slow clients ended before all their connections were open")

    def mend(self, stack: Stack) -> None:
        """They go away."""
        if self._process is not None:
            self._process.communicate(timeout=30)


class SlowHeaders(_SlowClients):
    """A header a second from each of 1,000 connections (slowloris)."""

    name = "slow-headers"
    kind = "headers"


class SlowBodies(_SlowClients):
    """A byte of the body a second from each of 1,000 connections."""

    name = "slow-bodies"
    kind = "bodies"


class SlowReaders(_SlowClients):
    """1,000 connections that ask for a megabyte each, and read none of it."""

    name = "slow-readers"
    kind = "readers"


class IdleConnections(_SlowClients):
    """1,000 connections that send nothing."""

    name = "idle-connections"
    kind = "idle"


FAULTS = (SlowHeaders(), SlowBodies(), SlowReaders(), IdleConnections())

"""SIGSTOP: a process that is there and does nothing, as one that hangs."""

from __future__ import annotations

import os
import signal

from chaos.fault import Fault
from chaos.stack import Stack


class FreezeTriton(Fault):
    """Triton itself."""

    name = "freeze-triton"

    def strike(self, stack: Stack) -> None:
        """Stop it; nobody lets it go on."""
        os.kill(stack.triton_pid, signal.SIGSTOP)


class FreezeStub(Fault):
    """The process that runs the engine which is asked most."""

    name = "freeze-stub"

    def strike(self, stack: Stack) -> None:
        """Stop it; nobody lets it go on."""
        os.kill(stack.stub_pids["sentiment"], signal.SIGSTOP)


FAULTS = (FreezeTriton(), FreezeStub())

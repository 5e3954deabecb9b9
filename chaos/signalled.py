"""Faults that are a signal to one process of the service."""

from __future__ import annotations

import os
from collections.abc import Callable
from signal import Signals

from chaos.fault import Fault
from chaos.stack import Stack

# The engine that the load asks most.
ASKED_MOST = "sentiment"


class Signalled(Fault):
    """The signal `number` to the process that `pid_of` finds; `about` describes the fault."""

    def __init__(
        self, name: str, about: str, number: Signals, pid_of: Callable[[Stack], int]
    ) -> None:
        self.name = name
        self.__doc__ = about
        self._number = number
        self._pid_of = pid_of

    def strike(self, stack: Stack) -> None:
        """Send it; nobody takes it back."""
        os.kill(self._pid_of(stack), self._number)


def triton(stack: Stack) -> int:
    """Triton itself."""
    return stack.triton_pid


def asked_most(stack: Stack) -> int:
    """The process that runs the engine which is asked most."""
    return stack.stub_pids[ASKED_MOST]

"""What a fault is: something that strikes a running service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from chaos.stack import Stack


class Fault(Protocol):
    """One way to break a service. Subclass this for the defaults.

    Attributes:
        name: what the table calls it, and what `python -m chaos` is given.
        environment: variables that the service is started with.
        held_seconds: how long after the strike `mend` is called; recovery counts from then.
    """

    name: str
    environment: Mapping[str, str] = {}
    held_seconds: float = 0.0

    def prepare(self, stack: Stack) -> None:
        """What has to be there before the service is started; most need nothing.

        Raises:
            NotHere: this machine lacks something; names it.
        """
        return

    def strike(self, stack: Stack) -> None:
        """Break it, and return at once or when it is broken. Called in a thread of its own."""

    def mend(self, stack: Stack) -> None:
        """Give back what only hands outside can, such as room on a disk; most do nothing."""
        return

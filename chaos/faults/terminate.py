"""Told to end, twice: what an impatient person, or a script, does."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from types import MappingProxyType

from chaos.fault import Fault
from chaos.stack import Stack

BETWEEN_SECONDS = 1.0


class TerminateTwice(Fault):
    """SIGTERM, and again a second later: the one instance is gone, what was in flight is not."""

    name = "sigterm-twice"
    environment: Mapping[str, str] = MappingProxyType({"SUB50_DRAIN_SECONDS": "60"})

    def strike(self, stack: Stack) -> None:
        """Send both."""
        stack.signal(signal.SIGTERM)
        time.sleep(BETWEEN_SECONDS)
        stack.signal(signal.SIGTERM)


FAULTS = (TerminateTwice(),)

"""The clock on the wall jumps, as when somebody sets it or a machine is woken.

Deadlines have to be counted by a clock that only runs forward. A library that is loaded into every
process of the service moves the other one, so that the machine's own is left alone.
"""

from __future__ import annotations

import struct
from pathlib import Path

from chaos.fault import Fault
from chaos.preload import compiled
from chaos.stack import Stack

SOURCE = Path(__file__).with_name("jumping_clock.c")
LIBRARY = SOURCE.with_suffix(".so").name
CONTROL = "clock"
NANOSECONDS = 1_000_000_000
HOUR = 3600


class ClockJump(Fault):
    """The clock jumps while the service is loaded."""

    def __init__(self, name: str, seconds: int) -> None:
        self.name = name
        self._seconds = seconds

    def prepare(self, stack: Stack) -> None:
        """Have the service started with a clock that can be moved."""
        control = stack.folder / CONTROL
        control.write_bytes(struct.pack("q", 0))
        library = compiled(SOURCE, stack.folder, {"CONTROL": control})
        stack.environment["LD_PRELOAD"] = str(library)

    def strike(self, stack: Stack) -> None:
        """Move the clock; it stays moved."""
        with (stack.folder / CONTROL).open("r+b") as control:
            control.write(struct.pack("q", self._seconds * NANOSECONDS))


class ClockForward(ClockJump):
    """The clock is set an hour ahead."""

    def __init__(self) -> None:
        super().__init__("clock-forward", HOUR)


class ClockBack(ClockJump):
    """The clock is set back by an hour."""

    def __init__(self) -> None:
        super().__init__("clock-back", -HOUR)


FAULTS = (ClockForward(), ClockBack())

"""The clock on the wall jumps, as when somebody sets it or a machine is woken.

Deadlines have to be counted by a clock that only runs forward. A library that is loaded into every
process of the service moves the other one, so that the machine's own is left alone.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from chaos.errors import ChaosError, NotHere
from chaos.fault import Fault
from chaos.stack import Stack

SOURCE = Path(__file__).with_name("jumping_clock.c")
LIBRARY = "jumping_clock.so"
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
        compiler = shutil.which("cc")
        if compiler is None:
            raise NotHere(f"{self.name} needs a C compiler: apt-get install gcc libc6-dev")
        control, library = stack.folder / CONTROL, stack.folder / LIBRARY
        control.write_bytes(struct.pack("q", 0))
        command = [compiler, "-O2", "-shared", "-fPIC", f'-DCONTROL="{control}"']
        built = subprocess.run(
            [*command, "-o", str(library), str(SOURCE), "-ldl", "-pthread"],
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise ChaosError(f"{SOURCE.name} cannot be compiled: {built.stderr}")
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

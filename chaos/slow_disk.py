"""A disk that takes its time, or hangs, for the files below one folder and one service's processes.

A library that is loaded into every process of the service waits before each call on such a file, so
that no other program is held up and nothing has to be mounted.
"""

from __future__ import annotations

import struct
from pathlib import Path

from chaos.preload import compiled

SOURCE = Path(__file__).with_suffix(".c")
CONTROL = "disk"
# How long a call takes, in nanoseconds, and how many have waited.
LAYOUT = "qq"
NANOSECONDS = 1_000_000_000


class SlowDisk:
    """The disk that holds `folder`: as fast as it is, until it is told otherwise."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._control = self._folder / CONTROL

    def variables(self) -> dict[str, str]:
        """Compile the library; returns the variables that a process is to be started with.

        Raises:
            NotHere: there is no compiler.
            ChaosError: it cannot be compiled.
        """
        self._control.write_bytes(struct.pack(LAYOUT, 0, 0))
        paths = {"CONTROL": self._control, "FOLDER": self._folder}
        return {"LD_PRELOAD": str(compiled(SOURCE, self._folder, paths))}

    def take(self, seconds: float) -> None:
        """Have every call on a file take so long from now on, also those under way; 0 mends it."""
        with self._control.open("r+b") as control:
            control.write(struct.pack("q", round(seconds * NANOSECONDS)))

    @property
    def calls(self) -> int:
        """How many calls have had to wait."""
        _, calls = struct.unpack(LAYOUT, self._control.read_bytes())
        return int(calls)

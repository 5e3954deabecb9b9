"""Loads an engine on one core while others are answered on the rest.

Starting Python and preparing an engine takes a second or two of every core, and each instance does
it at once. When a version is loaded beside one that serves, its processes stay on one core until
they are ready. A marker file in their temporary folder, which is theirs alone, tells them so: the
configuration cannot, because Triton would take it for a changed model.

Lies beside every backend's `model.py`: it may import nothing of this project. Import it before
what takes long.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

MARKER = "load-aside"
CORES = os.sched_getaffinity(0)


def step_aside() -> None:
    """Stay on one core, where the marker asks for it and there are others."""
    if len(CORES) > 1 and (Path(tempfile.gettempdir()) / MARKER).exists():
        os.sched_setaffinity(0, {max(CORES)})


def step_back() -> None:
    """Use all cores again, with every thread that was started meanwhile."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            os.sched_setaffinity(int(thread.name), CORES)


step_aside()

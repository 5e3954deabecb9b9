"""Work that may take as long as it likes, done only when nobody else wants the processor."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Linux shares processor time out among sessions first, where it has this file; a process that
# steps back within its session would still take the session's share.
SESSION_NICENESS = Path("/proc/self/autogroup")
LOWEST = "19"


def step_back_entirely() -> None:
    """Let this process run last of all, as far as the system permits; there is no way back.

    Its whole session steps back with it where it leads one: start it in a session of its own.
    """
    with suppress(OSError):  # forbidden by a sandbox, say: then it is only less gentle
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            SESSION_NICENESS.write_text(LOWEST)

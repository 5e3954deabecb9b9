"""Starts the process that keeps Triton, and ends it with all that is below it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from service.triton import supervisor
from service.triton.command import EXIT_TIMEOUT_SECONDS, Launch

# Triton gets a little longer than it gives itself, and the supervisor longer than that.
GRACE_SECONDS = EXIT_TIMEOUT_SECONDS + 2.0
STOP_SECONDS = GRACE_SECONDS + supervisor.ORPHANS_END_SECONDS + 1.0
KILL_SECONDS = supervisor.ORPHANS_END_SECONDS + 1.0


def spawn(
    launch: Launch, command: list[str], variables: dict[str, str], log_path: Path
) -> subprocess.Popen[bytes]:
    """Start a supervisor that runs `command` with these variables, in the folder of `launch`."""
    plan = {
        "command": command,
        "log_path": str(log_path.absolute()),
        "parent_pid": os.getpid(),
        "grace_seconds": GRACE_SECONDS,
        "shared_memory_prefix": launch.shared_memory_prefix,
        "scratch": str(launch.scratch),
        "niceness": launch.niceness,
    }
    # A session of its own: Ctrl-C in the terminal is for us, and we end Triton in order. Where
    # the kernel shares cores out by sessions, the service also keeps its share beside engines
    # that take all they can get.
    return subprocess.Popen(
        [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(plan)],
        env=variables,
        cwd=launch.scratch,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def end(process: subprocess.Popen[bytes], grace: bool) -> None:
    """End a supervisor and all that is below it, in bounded time; without `grace` by killing."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it may be gone
        if not grace:
            process.stdin.write(supervisor.AT_ONCE)
    with contextlib.suppress(OSError):
        process.stdin.close()  # the supervisor's sign to end
    try:
        process.wait(STOP_SECONDS if grace else KILL_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode < 0:  # killed, so it may have left something of its group
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

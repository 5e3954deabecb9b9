"""Keeps one Triton: a small process of its own between ours and `tritonserver`.

Ours may be killed outright, and Triton does not notice: its processes and its shared memory
would stay. This process notices (its standard input closes, its parent changes), ends Triton
and every stub, and removes what they leave in /dev/shm. If it is killed itself, the kernel ends
Triton; most stubs notice that, and the rest are in its process group, which the server ends.

A stub, the process that runs one model, may die alone. Triton neither restarts it nor says so:
the model stays "ready" and every request to it fails. Then all of Triton is ended here, so that
whoever watches it sees it.

Started by path with `python -I -S`, so that it needs only the standard library and is up in
milliseconds. Exit status: that of Triton, 0 when told to end, 3 when a stub died.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.2
STUB_CHECK_SECONDS = 0.4
STUB_SEARCH_SECONDS = 2.0
STUB_DIED_STATUS = 3
# Written to our input: end Triton without the time that it gives itself.
AT_ONCE = b"now"
ORPHANS_END_SECONDS = 3.0
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108
# Where Linux shares cores out among sessions first, and a session's niceness is another number.
SESSION_NICENESS = Path("/proc/self/autogroup")

libc = ctypes.CDLL(None, use_errno=True)
terminated = False


def on_terminate(signal_number: int, frame: FrameType | None) -> None:
    global terminated
    terminated = True


def die_with_parent() -> None:
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def should_end(parent_pid: int) -> bool:
    """Wait a moment; True when told to end, or when the parent is gone."""
    readable, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
    return terminated or bool(readable) or os.getppid() != parent_pid


def is_told_at_once() -> bool:
    """Whether the parent wrote that there is no time for grace, before it closed our input."""
    readable, _, _ = select.select([sys.stdin], [], [], 0)
    return bool(readable) and os.read(sys.stdin.fileno(), len(AT_ONCE)) == AT_ONCE


def end_process(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    process.terminate()
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children_of(pid: int) -> dict[int, str]:
    """Process ids of the children, each with its state; "Z" has ended and was not collected."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold spaces; state and parent come after it.
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):  # ended meanwhile
            continue
        if parent == str(pid):
            found[int(stat.parent.name)] = state
    return found


def state_of(pid: int) -> str:
    """The state of a process, "Z" for one that has ended and was not collected; "" for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


class StubWatch:
    """Notices when a stub has died; an ordinary end is collected by Triton within a moment."""

    def __init__(self, triton_pid: int) -> None:
        self.triton_pid = triton_pid
        self.next_check = time.monotonic() + STUB_CHECK_SECONDS
        self.next_search = 0.0
        self.stubs: set[int] = set()
        self.ended: set[int] = set()

    def has_died(self) -> bool:
        now = time.monotonic()
        if now < self.next_check:
            return False
        self.next_check = now + STUB_CHECK_SECONDS
        if now >= self.next_search:
            # It looks at every process of the machine, which takes too long to do it each time.
            self.stubs = set(children_of(self.triton_pid))
            self.next_search = now + STUB_SEARCH_SECONDS
        ended = {pid for pid in self.stubs if state_of(pid) == "Z"}
        still_there, self.ended = ended & self.ended, ended
        return bool(still_there)


def end_orphans() -> None:
    """Kill and collect what Triton left: as subreaper, this process inherited it."""
    deadline = time.monotonic() + ORPHANS_END_SECONDS
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        for child in children_of(os.getpid()):
            os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def hide_shared_memory(prefix: str) -> None:
    """Have none but our user read the regions: token ids of texts pass through them.

    Triton makes them for everybody to read, whatever the umask.
    """
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        with contextlib.suppress(FileNotFoundError):  # of a stub that just ended
            region.chmod(0o600)


def remove_shared_memory(prefix: str) -> None:
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def stand_back(niceness: int) -> None:
    """Have all of this session yield to others who want a core.

    The engines take all the time that they get; who admits and refuses needs a moment, but now.
    """
    if not niceness:
        return
    with contextlib.suppress(OSError):  # forbidden by a sandbox, or sessions do not count here
        SESSION_NICENESS.write_text(str(niceness))
    with contextlib.suppress(OSError):
        os.nice(niceness)


def main() -> int:
    plan = json.loads(sys.argv[1])
    stand_back(plan["niceness"])
    signal.signal(signal.SIGTERM, on_terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    with Path(plan["log_path"]).open("ab") as log:
        process = subprocess.Popen(
            plan["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    prefix = plan["shared_memory_prefix"]
    status = watch(process, plan["parent_pid"], plan["grace_seconds"], prefix)
    if status == STUB_DIED_STATUS:
        with Path(plan["log_path"]).open("a") as log:
            log.write("The process of a model died, of which Triton does not recover: ended it.\n")
    end_orphans()
    remove_shared_memory(prefix)
    if os.getppid() != plan["parent_pid"]:
        shutil.rmtree(plan["scratch"], ignore_errors=True)
    return status


def watch(
    process: subprocess.Popen[bytes], parent_pid: int, grace_seconds: float, prefix: str
) -> int:
    """Wait until Triton has ended, or end it when it must; returns the exit status to give."""
    stubs = StubWatch(process.pid)
    while process.poll() is None:
        hide_shared_memory(prefix)
        if should_end(parent_pid):
            end_process(process, 0 if is_told_at_once() else grace_seconds)
            return 0
        if stubs.has_died():
            end_process(process, grace_seconds=0)
            return STUB_DIED_STATUS
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())

"""No memory: the process of an engine gets no more, as in a container that is at its limit."""

from __future__ import annotations

import http.client
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from chaos.errors import ChaosError, NotHere
from chaos.fault import Fault
from chaos.processes import wait_until_ended
from chaos.stack import HOST, Stack

CONTROL_GROUPS = Path("/sys/fs/cgroup")
# What the process has stays charged to the group that it came from; this is for what it takes anew.
MOST_BYTES = 1 << 16
ENDS_SECONDS = 10.0
MODEL = "sentiment"
# Side by side, so that each process of the model gets some.
ASKS = 8
# Longer than anything of the load, so that the engine has to take memory for it.
LONG_TEXT = "a long text of many words " * 100


class NoMemory(Fault):
    """The kernel kills the process of an engine for want of memory; takes root."""

    name = "no-memory"

    def prepare(self, stack: Stack) -> None:
        """Find out whether a control group can be made here."""
        group = _group_of(os.getpid()) / f"sub50-chaos-{os.getpid()}"
        _make(group)
        group.rmdir()

    def strike(self, stack: Stack) -> None:
        """Put the process into a group of its own that is full, and have it need memory."""
        pid = stack.stub_pids[MODEL]
        group = _group_of(pid) / f"sub50-chaos-{pid}"
        _make(group)
        try:
            (group / "cgroup.procs").write_text(str(pid))
            with ThreadPoolExecutor(ASKS) as pool:
                for _ in range(ASKS):
                    pool.submit(_ask_for_much, stack)
            if wait_until_ended([pid], ENDS_SECONDS):
                (group.parent / "cgroup.procs").write_text(str(pid))
                raise ChaosError(f"the process {pid} lives on with {MOST_BYTES} bytes more")
        finally:
            _remove(group)


def _group_of(pid: int) -> Path:
    """The control group that a process's memory is charged to."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":  # version 1
            return CONTROL_GROUPS / "memory" / path.lstrip("/")
        if not controllers and (CONTROL_GROUPS / "cgroup.controllers").exists():
            return CONTROL_GROUPS / path.lstrip("/")
    raise NotHere("no-memory needs control groups for memory; there are none here")


def _make(group: Path) -> None:
    """Make a group with a limit; each version of control groups names it its own way."""
    try:
        group.mkdir()
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (group / name).exists():
                (group / name).write_text(str(MOST_BYTES))
                return
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        raise NotHere(f"no-memory needs root, to make {group}: {error.strerror}") from error
    group.rmdir()
    raise NotHere(f"no-memory needs the memory controller, which {group.parent} does not give")


def _remove(group: Path) -> None:
    """Remove a group once nothing runs in it."""
    deadline = time.monotonic() + ENDS_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.05)


def _ask_for_much(stack: Stack) -> None:
    """One request that takes memory; it may be the one that is killed."""
    connection = http.client.HTTPConnection(HOST, stack.port, timeout=ENDS_SECONDS)
    body = json.dumps({"input": [LONG_TEXT] * 4, "model": MODEL})
    with suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/v1/classify", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
    connection.close()


FAULTS = (NoMemory(),)

"""Processes as /proc has them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
POLL_SECONDS = 0.05


def descendants_of(pid: int) -> set[int]:
    """Children, their children, and so on; without `pid` itself."""
    children: dict[int, list[int]] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # ended meanwhile
            # The name, in parentheses, may hold spaces; state and parent come after it.
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found: set[int] = set()
    queue = [pid]
    while queue:
        below = children.get(queue.pop(), [])
        found.update(below)
        queue.extend(below)
    return found


def command_of(pid: int) -> list[str]:
    """Its command line; empty where it has ended."""
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_text(errors="replace").split("\0")[:-1]
    return []


def program_of(pid: int) -> str:
    """Name of the file that it runs; empty where it has ended."""
    with suppress(OSError):
        return (PROC / str(pid) / "exe").readlink().name
    return ""


def running_below(pid: int, program: str) -> set[int]:
    """Descendants that run a file of that name."""
    return {child for child in descendants_of(pid) if program_of(child) == program}


def still_running(pids: Iterable[int]) -> set[int]:
    """Those that have not ended; one that ended and was not collected has."""
    found = set()
    for pid in pids:
        with suppress(OSError, IndexError):
            if (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.add(pid)
    return found


def wait_until_ended(pids: Iterable[int], seconds: float) -> set[int]:
    """Wait until none of them runs, at most so long; returns those that still do."""
    deadline = time.monotonic() + seconds
    while (left := still_running(pids)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left

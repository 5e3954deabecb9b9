"""What a service holds at a moment: memory, descriptors, threads, shared memory."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chaos.background import Background
from chaos.errors import ChaosError
from chaos.processes import PROC, descendants_of, program_of
from chaos.stack import SHARED_MEMORY, STUB, TRITON, Stack

API = "api"
OTHERS = "helpers"
BLOCK_BYTES = 512


@dataclass(frozen=True)
class Footprint:
    """One look.

    Attributes:
        seconds: since the first look.
        memory_bytes: proportional set size by kind of process, without files: a page that n
            processes share counts one nth in each. Pages of libraries and engines are left out:
            they cannot leak, and their share changes with what else runs on the machine.
        descriptors, threads: of all processes together.
        shared_bytes: what the service's regions in /dev/shm take.
        pids: all processes; others than before mean that something was started anew.
    """

    seconds: float
    memory_bytes: dict[str, int]
    descriptors: int
    threads: int
    shared_bytes: int
    pids: tuple[int, ...]

    @property
    def total_bytes(self) -> int:
        """Memory of all processes."""
        return sum(self.memory_bytes.values())


def footprint_of(stack: Stack, seconds: float) -> Footprint:
    """Look at a service and all below it.

    Raises:
        ChaosError: it has ended.
    """
    memory: dict[str, int] = {}
    descriptors = threads = 0
    seen = []
    for pid in sorted({stack.pid, *descendants_of(stack.pid)}):
        folder = PROC / str(pid)
        with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
            kind = _kind_of(pid, stack)
            memory[kind] = memory.get(kind, 0) + _pss_bytes(folder)
            descriptors += len(list((folder / "fd").iterdir()))
            threads += len(list((folder / "task").iterdir()))
            seen.append(pid)
    if API not in memory:
        raise ChaosError(f"the service has ended; see {stack.log_path}")
    shared = sum(_taken_bytes(path) for path in SHARED_MEMORY.glob(f"sub50-{stack.pid}-*"))
    return Footprint(seconds, memory, descriptors, threads, shared, tuple(seen))


def _kind_of(pid: int, stack: Stack) -> str:
    if pid == stack.pid:
        return API
    program = program_of(pid)
    return {TRITON: "triton", STUB: "engines"}.get(program, OTHERS)


def _pss_bytes(folder: Path) -> int:
    lines = (folder / "smaps_rollup").read_text().splitlines()
    # None where it has ended and was not collected.
    counted = [line for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))]
    return sum(1024 * int(line.split()[1]) for line in counted)


def _taken_bytes(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_blocks * BLOCK_BYTES
    return 0


class Watch(Background):
    """Looks every so many seconds for as long as the block runs."""

    def __init__(self, stack: Stack, every_seconds: float) -> None:
        super().__init__()
        self.looks: list[Footprint] = []
        self.error: ChaosError | None = None
        self._stack = stack
        self._every_seconds = every_seconds

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            while True:
                self.looks.append(footprint_of(self._stack, time.monotonic() - begun))
                due = begun + len(self.looks) * self._every_seconds
                if self._over.wait(max(0.0, due - time.monotonic())):
                    return
        except ChaosError as error:
            self.error = error

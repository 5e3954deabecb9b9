"""The supervisor with ordinary programs in the place of Triton."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from service.triton import supervisor

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="supervises by Linux's means")

# Plays Triton: starts a "stub", says its process id, and does as its arguments tell.
TRITON = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
stub = subprocess.Popen(["sleep", "60"])
with open(sys.argv[1], "w") as out: out.write(f"{stub.pid}\\n")
if "ends" in sys.argv: os._exit(7)
time.sleep(60)
"""


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def until(reached: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@dataclass
class Supervised:
    """Starts the supervisor as the embedded server does."""

    folder: Path
    prefix: str = field(default_factory=lambda: f"sub50-test-{os.getpid()}-{time.monotonic_ns()}-")
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def plan(
        self, *flags: str, parent_pid: int, grace_seconds: float = 0.5, niceness: int = 0
    ) -> list[str]:
        (self.folder / "scratch").mkdir(exist_ok=True)
        Path("/dev/shm", f"{self.prefix}region").touch()
        plan = {
            "command": [sys.executable, "-I", "-c", TRITON, str(self.folder / "stub"), *flags],
            "log_path": str(self.folder / "log"),
            "parent_pid": parent_pid,
            "grace_seconds": grace_seconds,
            "shared_memory_prefix": self.prefix,
            "scratch": str(self.folder / "scratch"),
            "niceness": niceness,
        }
        return [sys.executable, "-I", "-S", supervisor.__file__, json.dumps(plan)]

    def start(
        self, *flags: str, grace_seconds: float = 0.5, niceness: int = 0
    ) -> subprocess.Popen[bytes]:
        command = self.plan(
            *flags, parent_pid=os.getpid(), grace_seconds=grace_seconds, niceness=niceness
        )
        process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        return process

    def stub_pid(self) -> int:
        path = self.folder / "stub"
        until(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())

    def regions(self) -> list[Path]:
        return list(Path("/dev/shm").glob(f"{self.prefix}*"))


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised(tmp_path)
    yield made
    for process in made.started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    for region in made.regions():
        region.unlink()


def end(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(10)


def niceness_of(pid: int) -> tuple[int, str]:
    """Of the process, and of its session: "" where Linux keeps no share for it.

    A process that is in no session of its own, as a container's first one may be, has none.
    """
    session = Path(f"/proc/{pid}/autogroup")
    words = session.read_text().split() if session.exists() else []
    return os.getpriority(os.PRIO_PROCESS, pid), words[-1] if words else ""


def shares_among_sessions() -> bool:
    """Whether Linux gives a new session a share of the cores, asked of one that is new."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as new:
        try:
            return niceness_of(new.pid)[1] != ""
        finally:
            new.kill()


@pytest.mark.parametrize("niceness", [0, 3])
def test_triton_and_its_stubs_stand_back_and_we_do_not(
    supervised: Supervised, niceness: int
) -> None:
    own = niceness_of(os.getpid())
    supervised.start(niceness=niceness)
    stub, session = niceness_of(supervised.stub_pid())
    assert stub == min(19, own[0] + niceness)
    assert session == (str(niceness) if shares_among_sessions() else "")
    assert niceness_of(os.getpid()) == own


@pytest.mark.parametrize("flags", [(), ("stubborn",)])
def test_closing_its_input_ends_triton_and_stub(
    supervised: Supervised, flags: tuple[str, ...]
) -> None:
    process = supervised.start(*flags)
    stub = supervised.stub_pid()
    assert end(process) == 0
    assert not runs(stub)
    assert supervised.regions() == []


def test_a_word_ends_triton_without_the_time_that_it_gives_itself(supervised: Supervised) -> None:
    process = supervised.start("stubborn", grace_seconds=60.0)
    stub = supervised.stub_pid()
    assert process.stdin is not None
    process.stdin.write(supervisor.AT_ONCE)
    assert end(process) == 0
    assert not runs(stub)
    assert supervised.regions() == []


def test_terminating_the_supervisor_ends_triton_and_stub(supervised: Supervised) -> None:
    process = supervised.start()
    stub = supervised.stub_pid()
    process.terminate()
    assert process.wait(10) == 0
    assert not runs(stub)


def test_a_triton_that_ends_leaves_no_stub_and_gives_its_status(supervised: Supervised) -> None:
    process = supervised.start("ends")
    assert process.wait(10) == 7
    assert not runs(supervised.stub_pid())
    assert supervised.regions() == []


def test_a_dead_stub_ends_triton(supervised: Supervised) -> None:
    process = supervised.start()
    os.kill(supervised.stub_pid(), signal.SIGKILL)
    assert process.wait(10) == supervisor.STUB_DIED_STATUS


def test_a_killed_supervisor_takes_triton_with_it(supervised: Supervised) -> None:
    process = supervised.start()
    stub = supervised.stub_pid()
    (triton,) = supervisor.children_of(process.pid)
    process.kill()
    until(lambda: not runs(triton))
    os.kill(stub, signal.SIGKILL)  # the real stub notices by itself, `sleep` does not


def test_a_killed_parent_leaves_nothing(supervised: Supervised, tmp_path: Path) -> None:
    # A process of its own plays the server's parent and is killed outright. Its child inherits
    # the pipe, as a forked worker would, so that only the change of parent tells.
    starter = """
import json, os, subprocess, sys, time
command = json.loads(sys.argv[1])
plan = json.loads(command[-1]) | {"parent_pid": os.getpid()}
read, write = os.pipe()
os.set_inheritable(write, True)
subprocess.Popen([*command[:-1], json.dumps(plan)], stdin=read, start_new_session=True)
helper = subprocess.Popen(["sleep", "60"], close_fds=False)
print(helper.pid, flush=True)
time.sleep(60)
"""
    command = json.dumps(supervised.plan(parent_pid=0))
    with subprocess.Popen(
        [sys.executable, "-c", starter, command], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        stub = supervised.stub_pid()
        parent.kill()
        until(lambda: not runs(stub) and not supervised.regions())
        until(lambda: not (tmp_path / "scratch").exists())
        os.kill(helper, signal.SIGKILL)

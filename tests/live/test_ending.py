"""However a service with a real Triton ends, nothing of it stays."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.processes import descendants_of, program_of, still_running, wait_until_ended
from tests.live.test_stack import SUB50, Stack, free_port, shared_memory

pytestmark = pytest.mark.live

END_SECONDS = 20.0


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Temporary folders and shared memory are as before, at once."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


def regions_of(pid: int) -> list[str]:
    return [name for name in shared_memory() if name.startswith(f"sub50-{pid}-")]


def test_a_storm_of_signals_ends_it_in_order(stack: Stack) -> None:
    below = stack.descendants()
    assert len(below) >= 3
    deadline = time.monotonic() + END_SECONDS
    numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    sent = 0
    # They come while the server ends, and then while Triton does.
    while stack.process.poll() is None and time.monotonic() < deadline:
        stack.process.send_signal(numbers[sent % len(numbers)])
        sent += 1
        time.sleep(0.02)
    assert stack.process.returncode == 0
    assert sent > 10
    assert still_running(below) == set()
    assert regions_of(stack.process.pid) == []


def test_signals_while_triton_starts_end_it_in_order(repository: Path) -> None:
    stack = Stack(free_port(), "--repository", str(repository))
    deadline = time.monotonic() + END_SECONDS
    below: set[int] = set()
    while not any(program_of(pid) == "tritonserver" for pid in below):
        assert time.monotonic() < deadline
        below = stack.descendants()
        time.sleep(0.02)
    stack.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    status, output = stack.end(signal.SIGTERM)
    assert status == 0, output
    assert "Traceback" not in output
    assert still_running(below) == set()
    assert regions_of(stack.process.pid) == []


def test_a_terminal_that_closes_ends_it_in_order(repository: Path) -> None:
    """As a window does: the one who wrote to it gets SIGHUP, and can write no more."""
    master, slave = pty.openpty()
    port = free_port()
    command = [SUB50, "serve", f"--port={port}", f"--repository={repository}"]
    # A session of its own takes the terminal with it.
    setsid = ["setsid", "--ctty", *command]
    process = subprocess.Popen(setsid, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    stack = Stack.__new__(Stack)
    stack.url, stack.process = f"http://127.0.0.1:{port}", process
    try:
        stack.wait_until_ready()
        below = descendants_of(process.pid)
        assert len(below) >= 3
        os.close(master)
        assert process.wait(END_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    assert wait_until_ended(below, 0.0) == set()
    assert regions_of(process.pid) == []

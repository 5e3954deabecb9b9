"""Faults against processes that stand in for a service."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from chaos.errors import NotHere
from chaos.faults import all_faults
from chaos.faults.damage import MODEL, DamagedEngine
from chaos.faults.memory import NoMemory
from tests.deploy.running import free_port

GROWS = """
import time
print("ready", flush=True)
kept = []
while True:
    kept.append(b"x" * 1_000_000)
    time.sleep(0.05)
"""


@pytest.fixture
def growing() -> Iterator[subprocess.Popen[bytes]]:
    """A process that takes a megabyte every 50 ms."""
    with subprocess.Popen([sys.executable, "-c", GROWS], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_the_kernel_kills_what_gets_no_memory(growing: subprocess.Popen[bytes]) -> None:
    stack = SimpleNamespace(stub_pids={MODEL: growing.pid}, port=free_port())
    groups = Path(f"/proc/{growing.pid}/cgroup").read_text()
    try:
        NoMemory().prepare(stack)  # type: ignore[arg-type]
    except NotHere as error:
        pytest.skip(str(error))
    assert Path(f"/proc/{growing.pid}/cgroup").read_text() == groups
    NoMemory().strike(stack)  # type: ignore[arg-type]
    assert growing.wait(10) == -signal.SIGKILL
    assert list(Path("/sys/fs/cgroup").rglob(f"sub50-chaos-{growing.pid}")) == []


def test_an_engine_is_damaged_and_put_back(
    growing: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    engine = tmp_path / MODEL / "1" / "model.onnx"
    engine.parent.mkdir(parents=True)
    engine.write_bytes(b"0123456789")
    stack = SimpleNamespace(stub_pids={MODEL: growing.pid}, repository=tmp_path)
    fault = DamagedEngine()
    fault.strike(stack)  # type: ignore[arg-type]
    assert engine.read_bytes() == b"01234"
    assert growing.wait(10) == -signal.SIGKILL
    fault.mend(stack)  # type: ignore[arg-type]
    assert engine.read_bytes() == b"0123456789"
    assert list(engine.parent.iterdir()) == [engine]


@pytest.mark.parametrize(
    ("name", "found_by"),
    [("triton", "triton_pid"), ("supervisor", "supervisor_pid"), ("api", "pid"), ("stub", "")],
)
def test_a_killed_process_is_the_one_that_is_named(
    growing: subprocess.Popen[bytes], name: str, found_by: str
) -> None:
    found = {found_by: growing.pid} if found_by else {"stub_pids": {MODEL: growing.pid}}
    all_faults()[f"kill-{name}"].strike(SimpleNamespace(**found))  # type: ignore[arg-type]
    assert growing.wait(10) == -signal.SIGKILL

"""Who can reach what: from another machine, and as another user of the same one."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chaos.processes import descendants_of, program_of
from tests.live.namespaces import (
    Machine,
    connect_as,
    skip_without_namespaces,
    two_machines,
    unix_sockets,
)
from tests.live.test_stack import SUB50

pytestmark = pytest.mark.live
START_SECONDS = 60
PORT, GRPC_PORT, METRICS_PORT = 8080, 8001, 8002
NOBODY = 65534


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    skip_without_namespaces()
    with two_machines() as both:
        yield both


@contextmanager
def running(machine: Machine, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`sub50` in a machine, ended with SIGTERM."""
    process = subprocess.Popen(
        machine.command(str(SUB50), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def wait_for(holds: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        try:
            if holds():
                return
        except subprocess.CalledProcessError:
            pass
        time.sleep(0.3)


@contextmanager
def open_to_everybody(folder: Path) -> Iterator[Path]:
    """A socket in that folder that listens to every user of the machine."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        path = Path(own) / "open"
        listener.bind(str(path))
        listener.listen()
        path.chmod(0o777)
        path.parent.chmod(0o755)
        yield path


def test_only_the_api_is_reached_from_elsewhere_and_triton_by_no_other_user(
    machines: tuple[Machine, Machine], repository: Path
) -> None:
    inner, outer = machines
    url = f"http://{inner.address}:{PORT}"
    arguments = ("--host", "0.0.0.0", "--port", str(PORT), "--repository", str(repository))
    with running(inner, "serve", *arguments) as process:
        wait_for(lambda: bool(json.loads(outer.ask(f"{url}/readyz"))["ready"]), process)
        answer = json.loads(outer.ask(f"{url}/v1/classify", {"input": "A wonderful film."}))
        assert answer["results"][0]["label"] == "positive"

        assert inner.listeners() == {("0.0.0.0", PORT)}
        (triton,) = [p for p in descendants_of(process.pid) if program_of(p) == "tritonserver"]
        (way_in,) = unix_sockets(Path(f"/proc/{triton}/cwd").resolve())
        assert connect_as(os.getuid(), way_in) == "open"
        assert connect_as(NOBODY, way_in) == "PermissionError"
        with open_to_everybody(way_in.parent.parent) as other:
            assert connect_as(NOBODY, other) == "open"

        sockets = unix_sockets(repository)
        assert [path.name for path in sockets] == [".control.sock"]
        assert stat.S_IMODE(sockets[0].stat().st_mode) == 0o600


def test_triton_alone_is_reached_by_nobody_elsewhere(
    machines: tuple[Machine, Machine], repository: Path
) -> None:
    inner, outer = machines
    ports = ("--grpc-port", str(GRPC_PORT), "--metrics-port", str(METRICS_PORT))
    expected = {("127.0.0.1", GRPC_PORT), ("127.0.0.1", METRICS_PORT)}
    with running(inner, "triton", "--repository", str(repository), *ports) as process:
        wait_for(lambda: inner.listeners() >= expected, process)
        assert inner.listeners() == expected
        # They refuse nobody but those from elsewhere.
        within = inner.connect("127.0.0.1", [GRPC_PORT, METRICS_PORT])
        assert set(within.values()) == {"open"}
        refused = outer.connect(inner.address, [GRPC_PORT, METRICS_PORT])
        assert set(refused.values()) == {"ConnectionRefusedError"}

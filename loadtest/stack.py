"""A service of one's own for the length of a load test."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from loadtest.errors import LoadTestError
from loadtest.generate import log_tail, stop_process

TERMINATED = 128 + signal.SIGTERM
LOG_FILE = "service.log"
READY_SECONDS = 120.0
# It waits up to ten seconds for requests under way, then for Triton.
STOP_SECONDS = 30.0
POLL_SECONDS = 0.2


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """SIGTERM leaves the block as Ctrl-C does, so that what was started is stopped."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


@contextmanager
def running_service(folder: Path) -> Iterator[str]:
    """`sub50 serve` on a free port of 127.0.0.1, from ready to stopped; its log goes to `folder`.

    Yields:
        Its URL.

    Raises:
        LoadTestError: it ended, or was not ready in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log_path = folder / LOG_FILE
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("sub50")), "serve", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # Nobody sends it anything once the load is over.
            env=os.environ | {"SUB50_HOST": "127.0.0.1", "SUB50_DRAIN_SECONDS": "0"},
            # Ctrl-C ends the load first, and then this.
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, log_path)
            yield f"http://127.0.0.1:{port}"
        finally:
            stop_process(process, STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log_path: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise LoadTestError(
                f"`sub50 serve` ended with status {process.returncode}:\n{log_tail(log_path)}"
            )
        if is_ready(port):
            return
        time.sleep(POLL_SECONDS)
    raise LoadTestError(f"`sub50 serve` was not ready in {READY_SECONDS:g} s; see {log_path}")


def is_ready(port: int) -> bool:
    """Whether /readyz on that port of loopback answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

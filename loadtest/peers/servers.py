"""Starting and stopping the servers that are compared, one at a time, each on a free port."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import LoadTestError
from loadtest.generate import stop_process
from loadtest.stack import free_port, is_ready

START_SECONDS = 90
STOP_SECONDS = 30
LOG_TAIL_LINES = 15


class PeerError(LoadTestError):
    """A server cannot be compared; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server by name, and its command line without the port, which comes last."""

    name: str
    command: tuple[str, ...]
    needs: str | None = None
    """The module that must be installed."""

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        if self.needs and importlib.util.find_spec(self.needs) is None:
            return f"{self.name} left out: {self.needs} is missing, pip install 'sub50[peers]'"
        return None


OURS = Server("ours", (str(Path(sys.executable).parent / "sub50"), "serve", "--port"))
HANDWRITTEN = Server("handwritten", (sys.executable, "-m", "loadtest.peers.handwritten", "--port"))
LITSERVE = Server(
    "litserve", (sys.executable, "-m", "loadtest.peers.litserve_server", "--port"), "litserve"
)
SERVERS = (OURS, HANDWRITTEN, LITSERVE)


@contextmanager
def running(server: Server, *options: str) -> Iterator[str]:
    """The URL of the server, started with `options` and ready; stopped when the block ends.

    Raises:
        PeerError: it did not become ready; with the end of what it wrote.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*server.command, str(port), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, so that all of it can be stopped
        )
        try:
            if not became_ready(port, process):
                log.seek(0)
                lines = log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
                raise PeerError("\n".join([f"{server.name} did not start:", *lines]))
            yield url
        finally:
            stop(process)


def became_ready(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until /readyz answers 200; False if the process ends or the time is up."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if is_ready(port):
            return True
        time.sleep(0.1)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and, if it leaves any, the processes of its group."""
    stop_process(process, STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

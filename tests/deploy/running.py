"""Processes and a webhook for a test, on loopback, all stopped at its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from chaos.background import Background
from loadtest.stack import free_port as free_port

START_SECONDS = 60.0
STOP_SECONDS = 20.0


def wait_for(condition: Callable[[], Any], seconds: float, what: Callable[[], str]) -> Any:
    """What `condition` returns once that is true; `what` tells how things stand if it is not."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not in {seconds:g} s: {what()}")
        time.sleep(0.1)
    return result


@contextmanager
def running(
    command: Sequence[str | Path], ready_url: str, folder: Path, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A process, from when `ready_url` answers 200; its output is shown if it does not."""
    log = folder / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env=os.environ | environment
        )
    try:
        wait_for(
            lambda: answers(ready_url) or process.poll() is not None,
            START_SECONDS,
            lambda: f"{ready_url}\n{log.read_text()}",
        )
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5) as reply:
        return bool(reply.status == 200)
    return False


@dataclass(frozen=True)
class Notice:
    """One alert as Alertmanager told it: where to, whether it fires, what it says."""

    path: str
    alert: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]


class Webhook:
    """A receiver of notices, in the order in which they came."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    labels, annotations = alert["labels"], alert["annotations"]
                    name, status = labels["alertname"], alert["status"]
                    receiver.notices.append(Notice(self.path, name, status, labels, annotations))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Webhook:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def first(self, alert: str, status: str) -> Notice | None:
        """The first notice of that alert with that status ("firing" or "resolved")."""
        matching = (n for n in self.notices if (n.alert, n.status) == (alert, status))
        return next(matching, None)


class Pulse(Background):
    """Stops processes and lets them go on, again and again: they are slow, and not dead."""

    def __init__(self, pids: set[int], stopped_seconds: float, going_seconds: float) -> None:
        super().__init__()
        self._pids = pids
        self._turns = ((signal.SIGSTOP, stopped_seconds), (signal.SIGCONT, going_seconds))

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                for number, seconds in self._turns:
                    send(number, self._pids)
                    self._over.wait(seconds)
        finally:
            send(signal.SIGCONT, self._pids)


def send(number: int, pids: set[int]) -> None:
    """A signal to every process that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

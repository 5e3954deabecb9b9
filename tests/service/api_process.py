"""`sub50 api` as a process, over a fake Triton, for what signals do to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.running import answers, free_port

SUB50 = Path(sys.executable).with_name("sub50")
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
# What is tested is what it answers, not how fast this machine is.
CALM = {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"}
TEXT = b'{"input": "A gripping story."}'


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `closes` where it says that its connection will be closed."""

    status: int
    closes: bool
    content: bytes

    @property
    def problem(self) -> str:
        """The kind of problem that it tells of."""
        return str(json.loads(self.content)["type"])


class ApiProcess:
    """One process on a port of loopback; `before` is a command that it is started by."""

    def __init__(
        self,
        repository: Path,
        target: str,
        before: Sequence[str] = (),
        port: int | None = None,
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        options = ["--triton", target, "--port", str(self.port), "--repository", str(repository)]
        self.process = subprocess.Popen(
            [*before, str(SUB50), "api", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env=os.environ | CALM | environment,
        )

    def __enter__(self) -> ApiProcess:
        until(
            lambda: (
                answers(f"http://127.0.0.1:{self.port}/readyz") or self.process.poll() is not None
            ),
            READY_SECONDS,
        )
        assert self.process.poll() is None, self.process.communicate()[0]
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def get(self, route: str) -> Answer:
        """A GET over a new connection; a status of 0 where none can be made."""
        return self._over_a_new_one("GET", route, b"")

    def classify(self) -> Answer:
        """Ask for one text over a new connection."""
        return self._over_a_new_one("POST", "/v1/classify", TEXT)

    def connect(self) -> http.client.HTTPConnection:
        """A connection of one's own, kept alive."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _over_a_new_one(self, method: str, route: str, body: bytes) -> Answer:
        with closing(self.connect()) as connection:
            try:
                return ask(connection, method, route, body)
            except OSError:
                return Answer(0, False, b"")

    def send(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int | None = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status and what it wrote; with None as it ends by itself."""
        if number is not None:
            self.send(number)
        output, _ = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, output


def ask(
    connection: http.client.HTTPConnection,
    method: str = "POST",
    route: str = "/v1/classify",
    body: bytes = TEXT,
) -> Answer:
    """Send a request and read its answer."""
    connection.request(method, route, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    return Answer(response.status, response.getheader("connection") == "close", response.read())


def until(reached: Callable[[], bool], seconds: float) -> None:
    """Wait, and fail where it does not come."""
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)

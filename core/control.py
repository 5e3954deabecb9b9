"""How a command on this machine speaks to the service that serves the same repository.

A Unix socket in the repository: who may write there may promote, nobody else can reach it. One
JSON object on a line asks; then come any number of `{"progress": …}`, and one line that answers.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOCKET_FILE = ".control.sock"
# An answer may take as long as loading an engine and watching it.
ANSWER_SECONDS = 300.0
MOST_BYTES = 1 << 20
MOST_SHADOW_SECONDS = 86_400.0

Progress = Callable[[dict[str, Any]], None]


class ControlError(Exception):
    """The service was asked and its answer did not come."""


@contextmanager
def short_path(repository: Path) -> Iterator[str]:
    """A path to the socket that is short wherever the repository lies.

    The kernel takes at most 107 bytes for the address of a Unix socket.
    """
    descriptor = os.open(repository, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_FILE}"
    finally:
        os.close(descriptor)


def tell(
    repository: Path,
    message: dict[str, Any],
    answer_seconds: float = ANSWER_SECONDS,
    on_progress: Progress | None = None,
) -> dict[str, Any] | None:
    """Send a message to the service of a repository and return its answer.

    Returns None where no service runs there. With `on_progress`, which is called with what the
    service tells meanwhile, a first Ctrl-C has it call off what it does and answer so.

    Raises:
        ControlError: a service was there and its answer did not come.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with short_path(repository) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise ControlError(
                f"cannot reach the service at {repository / SOCKET_FILE}: {error.strerror}"
            ) from error
        try:
            connection.settimeout(answer_seconds)
            connection.sendall(json.dumps(message).encode() + b"\n")
            lines = _Lines(connection)
            if on_progress is None:
                return _answer(lines, lambda _: None)
            try:
                return _answer(lines, on_progress)
            except KeyboardInterrupt:
                connection.shutdown(socket.SHUT_WR)
                return _answer(lines, lambda _: None)
        except OSError as error:
            raise ControlError(f"the service did not answer: {error}") from error


def _answer(lines: _Lines, on_progress: Progress) -> dict[str, Any]:
    while True:
        try:
            message = json.loads(lines.next())
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise ControlError("the service ended before it answered")
        if "progress" not in message:
            return message
        on_progress(message["progress"])


class _Lines:
    """The lines that come over a connection; what was read of the next one is kept."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""

    def next(self) -> bytes:
        """The next line, or what there is of it when the other side has ended."""
        while b"\n" not in self._received and len(self._received) <= MOST_BYTES:
            chunk = self._connection.recv(65536)
            if not chunk:
                break
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line

"""How a command on this machine speaks to the service that serves the same repository.

A Unix socket in the repository: who may write there may promote, nobody else can reach it. One
JSON object on a line asks, one answers.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOCKET_FILE = ".control.sock"
# An answer may take as long as loading an engine and watching it.
ANSWER_SECONDS = 300.0
MOST_BYTES = 1 << 20


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
    repository: Path, message: dict[str, Any], answer_seconds: float = ANSWER_SECONDS
) -> dict[str, Any] | None:
    """Send a message to the service of a repository and return its answer.

    Returns None where no service runs there.

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
            line = _read_line(connection)
        except OSError as error:
            raise ControlError(f"the service did not answer: {error}") from error
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ControlError("the service ended before it answered")
    return answer


def _read_line(connection: socket.socket) -> bytes:
    received = b""
    while b"\n" not in received and len(received) <= MOST_BYTES:
        chunk = connection.recv(65536)
        if not chunk:
            break
        received += chunk
    return received

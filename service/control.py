"""The socket over which commands on this machine promote: see `core/control.py`.

It is taken before the repository is read, and answered once everything serves: a command that comes
in between waits, and so no promotion falls between what is on disk and what is served.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.control import MOST_SHADOW_SECONDS, SOCKET_FILE, short_path
from service.errors import Sub50Error

log = logging.getLogger("sub50.control")

LOCK_FILE = ".control.lock"
READ_SECONDS = 5.0
CLOSE_SECONDS = 3.0
LINE_BYTES = 1 << 16


class ControlRequest(BaseModel):
    """What a command asks for. All but `model` is for a promotion alone."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    do: Literal["promote", "rollback"]
    model: str
    version: str = Field("", pattern=r"^\d*$")
    force: bool = False
    shadow_seconds: float | None = Field(None, gt=0, le=MOST_SHADOW_SECONDS)
    shadow_share: float = Field(1.0, gt=0, le=1)


class Caller:
    """The command that asked: it can be told how far things are, and may go away."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.gone = asyncio.Event()

    async def tell(self, figures: Mapping[str, object]) -> None:
        """Send how far things are; to nobody where the command has ended."""
        with suppress(OSError):
            self._writer.write(json.dumps({"progress": figures}).encode() + b"\n")
            await self._writer.drain()


Answer = Callable[[ControlRequest, Caller], Awaitable[dict[str, Any]]]


@contextmanager
def control_socket(repository: Path) -> Iterator[socket.socket | None]:
    """The listening socket of a repository, for as long as the block runs.

    None where another service has it, or where nothing can be written: serving needs it not. Of
    two services on one repository only the first can be told to promote; the other goes on with
    what it serves until it is started anew.
    """
    if not repository.is_dir():
        yield None  # whoever reads it says so, and what to do
        return
    try:
        lock = os.open(repository / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log.warning("no promotions while serving: cannot write to %s (%s)", repository, error)
        yield None
        return
    listener: socket.socket | None = None
    try:
        listener = _listen(repository, lock)
        yield listener
    finally:
        if listener is not None:
            listener.close()
            with suppress(OSError):
                (repository / SOCKET_FILE).unlink(missing_ok=True)
        os.close(lock)


def _listen(repository: Path, lock: int) -> socket.socket | None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        log.warning(
            "another service serves %s: promotions there do not reach this one, which has to be "
            "started anew after them",
            repository,
        )
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Whoever held the lock before is gone; a socket still there is of one that was killed.
        (repository / SOCKET_FILE).unlink(missing_ok=True)
        with short_path(repository) as path:
            listener.bind(path)
        (repository / SOCKET_FILE).chmod(0o600)
        listener.listen(8)
    except OSError as error:
        listener.close()
        log.warning("no promotions while serving: no socket in %s (%s)", repository, error)
        return None
    return listener


class ControlServer:
    """Answers what comes over the socket: one line asks, then any of progress, and one answers.

    A command that closes its side calls off what may be called off.
    """

    def __init__(self, listener: socket.socket, answer: Answer) -> None:
        self._listener = listener
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._callers: dict[Caller, asyncio.Task[None] | None] = {}

    async def start(self) -> None:
        """Answer from now on, also what has come in before."""
        self._server = await asyncio.start_unix_server(
            self._serve, sock=self._listener, limit=LINE_BYTES
        )

    async def close(self) -> None:
        """Answer no more; what may be called off is, and has a moment to end in order."""
        if self._server is not None:
            self._server.close()
        for caller in self._callers:
            caller.gone.set()
        if tasks := [task for task in self._callers.values() if task is not None]:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(writer)
        self._callers[caller] = asyncio.current_task()
        try:
            answer = await self._answer_to(reader, caller)
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except (OSError, TimeoutError, ValueError) as error:
            log.debug("a command went away: %s", error)
        finally:
            del self._callers[caller]
            writer.close()

    async def _answer_to(self, reader: asyncio.StreamReader, caller: Caller) -> dict[str, Any]:
        try:
            line = await asyncio.wait_for(reader.readline(), READ_SECONDS)
        except ValueError:
            return {"ok": False, "error": f"the line is longer than {LINE_BYTES} bytes"}
        try:
            request = ControlRequest.model_validate_json(line)
        except ValidationError as error:
            return {"ok": False, "error": f"the service does not understand: {error}"}
        end = asyncio.create_task(_note_end(reader, caller))
        try:
            return {"ok": True, **await self._answer(request, caller)}
        except Sub50Error as error:
            return {"ok": False, "error": str(error)}
        except Exception as error:
            log.exception("%s of %s failed", request.do, request.model)
            return {"ok": False, "error": f"unexpected: {error!r}; the service's log has more"}
        finally:
            end.cancel()


async def _note_end(reader: asyncio.StreamReader, caller: Caller) -> None:
    with suppress(OSError):
        while await reader.read(LINE_BYTES):
            pass
    caller.gone.set()

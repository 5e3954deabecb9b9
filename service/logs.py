"""Log lines on stderr, as text or JSON, written by a thread of their own.

Who writes to a pipe that nobody empties stands still. A service must not, so records wait in a
queue that has an end; what does not fit is counted, and the count is written once there is room.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal, TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from service.patient import write_patiently

LogFormat = Literal["text", "json"]

MOST_WAITING = 10_000
CLOSE_SECONDS = 2.0
# Whose lines are for the person at the terminal: written as they are, at every level.
TOLD = "sub50.told"
# Logged by `app.py` already, and without what the client sent.
REPEATED = "Exception in ASGI application"


class LineWriter(logging.Handler):
    """Formats and writes records in a thread; `emit` never waits for the stream."""

    def __init__(self, stream: TextIO, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most_waiting)
        self._lost = 0
        self._closes_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Have a record written; it is lost where too many wait."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._lost += 1

    def close(self) -> None:
        """Write what waits, in bounded time."""
        self._closes_at = time.monotonic() + CLOSE_SECONDS
        with suppress(queue.Full):  # then the thread sees by the time that it is to end
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS + 1)
        super().close()

    def _run(self) -> None:
        while self._is_patient() and (record := self._waiting.get()) is not None:
            self._write_counted(record)

    def _is_patient(self) -> bool:
        return self._closes_at is None or time.monotonic() < self._closes_at

    def _write_counted(self, record: logging.LogRecord) -> None:
        """Write a record, and how many were lost before it; one that cannot be is lost too."""
        written = self._write(record)
        lost = self._lost
        told = written and lost > 0 and self._write(_lost_record(lost))
        with self._counting():
            self._lost += (not written) - (lost if told else 0)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Alone with the count; `emit` is called so."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def _write(self, record: logging.LogRecord) -> bool:
        try:
            line = self.format(record)
        except Exception:
            # Not with its arguments, which are what could not be formatted.
            line = f"a log line of {record.name} could not be formatted: {record.msg!r}"
        try:
            return write_patiently(self._stream, line + "\n", self._is_patient)
        except (OSError, ValueError):  # the disk is full, or the stream is closed
            return False


def _lost_record(lines: int) -> logging.LogRecord:
    told = "%d log lines were lost: stderr was not read fast enough, or its disk is full"
    return logging.LogRecord("sub50.logs", logging.WARNING, __file__, 0, told, (lines,), None)


@contextmanager
def log_lines(style: LogFormat, level: str, stream: TextIO | None = None) -> Iterator[None]:
    """Write everything that is logged, by us and by libraries, to `stream` (stderr)."""
    root, server = logging.getLogger(), logging.getLogger("uvicorn.error")
    writer = LineWriter(stream or sys.stderr)
    writer.setFormatter(formatter_of(style))
    before = root.level
    root.setLevel(level.upper())
    root.addHandler(writer)
    server.addFilter(_is_no_repetition)
    try:
        yield
    finally:
        server.removeFilter(_is_no_repetition)
        root.removeHandler(writer)
        root.setLevel(before)
        writer.close()


def _is_no_repetition(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(REPEATED)


def formatter_of(style: LogFormat) -> logging.Formatter:
    """The formatter of a style; times are UTC, as ISO 8601 has them."""
    if style == "json":
        return JsonFormatter(
            ["levelname", "name", "message"],
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
            timestamp="time",
        )
    text = _TextFormatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    text.converter = time.gmtime
    return text


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage() if record.name == TOLD else super().format(record)


def tell(message: str) -> None:
    """Tell the person at the terminal a line, in turn with those of the log; never waits."""
    told = logging.getLogger(TOLD)
    told.setLevel(logging.INFO)
    told.info("%s", message)


def where_it_broke(error: BaseException) -> str:
    """Kind and place of an error, without its message, which may quote what a client sent."""
    frames = traceback.format_tb(error.__traceback__)
    return f"{type(error).__name__} at:\n{''.join(frames)}".rstrip()

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

LogFormat = Literal["text", "json"]

MOST_WAITING = 10_000
CLOSE_SECONDS = 2.0
# Logged by `app.py` already, and without what the client sent.
REPEATED = "Exception in ASGI application"


class LineWriter(logging.Handler):
    """Formats and writes records in a thread; `emit` never waits for the stream."""

    def __init__(self, stream: TextIO, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(most_waiting)
        self._lost = 0
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
        with suppress(queue.Full):
            self._waiting.put(None, timeout=CLOSE_SECONDS)
        self._thread.join(CLOSE_SECONDS)
        super().close()

    def _run(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._write(record)
            if lost := self._lost:
                self._lost -= lost
                self._write(_lost_record(lost))

    def _write(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:
            # Not with its arguments, which are what could not be formatted.
            line = f"a log line of {record.name} could not be formatted: {record.msg!r}"
        with suppress(OSError, ValueError):  # a stream that is closed
            self._stream.write(line + "\n")
            self._stream.flush()


def _lost_record(lines: int) -> logging.LogRecord:
    told = "%d log lines were lost: stderr was not read fast enough"
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
    text = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    text.converter = time.gmtime
    return text


def where_it_broke(error: BaseException) -> str:
    """Kind and place of an error, without its message, which may quote what a client sent."""
    frames = traceback.format_tb(error.__traceback__)
    return f"{type(error).__name__} at:\n{''.join(frames)}".rstrip()

"""Writes to a stream that may take its time, without ever standing still in a write.

A thread that stands in a write cannot be told to stop, and holds the stream's lock for as long: who
comes after it stands too, the end of the process among them.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import TextIO

# Where a pipe has room at all, it has room for so much.
PIECE_BYTES = select.PIPE_BUF
LOOK_MS = 50


def write_patiently(stream: TextIO, text: str, is_patient: Callable[[], bool]) -> bool:
    """Write a text, waiting for room for as long as `is_patient` says so.

    Returns whether all of it was written; of a text that was given up a part may have been.

    Raises:
        OSError: the stream cannot be written to: the disk is full, say, or the reader is gone.
        ValueError: the stream is closed.
    """
    try:
        descriptor = stream.fileno()
    except OSError:  # in memory
        stream.write(text)
        stream.flush()
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    left = text.encode(stream.encoding, "backslashreplace")
    while left:
        if poll.poll(LOOK_MS):
            left = left[os.write(descriptor, left[:PIECE_BYTES]) :]
        elif not is_patient():
            return False
    return True

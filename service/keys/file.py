"""Reads a file of keys, where it is one that only its owner can change."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from service.keys.line import KeysError

MAX_FILE_BYTES = 1 << 20


def read_key_file(path: Path) -> bytes:
    """What a file of keys holds.

    Raises:
        KeysError: it cannot be read, is too large, others may change it, or every user may read it
            though it belongs to the one that asks.
    """
    try:
        # Not to wait for a writer where it is a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise KeysError("is no file; name a file with one key a line")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeysError(
            f"cannot be read ({error.strerror}); name a file that this user may read"
        ) from None
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise KeysError("others than its owner may change it; take that away with `chmod 600`")
    # A secret that is mounted for a process of another user has to be readable to all.
    if about.st_mode & stat.S_IROTH and about.st_uid == os.geteuid():
        raise KeysError("every user of this machine may read it; keep it to one with `chmod 600`")
    if len(content) > MAX_FILE_BYTES:
        raise KeysError("is over a megabyte; name a file with one key a line")
    return content

"""Says where there is no room for an engine, and how much it takes."""

from __future__ import annotations

import errno
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.errors import EngineError

FULL = (errno.ENOSPC, errno.EDQUOT)
MEGABYTE = 1_000_000


def require_room(folder: Path, needed_bytes: int, replaced_bytes: int = 0) -> None:
    """Raise EngineError where a disk has too little room, before anything is written there.

    Args:
        folder: what is to be written to; it need not be there yet.
        needed_bytes: what will be written.
        replaced_bytes: what is there and will be removed before.
    """
    if free_bytes(folder) + replaced_bytes < needed_bytes:
        raise EngineError(_no_room(folder, needed_bytes))


@contextmanager
def full_disk_told(folder: Path, needed_bytes: int) -> Iterator[None]:
    """Have a disk that fills up while the block writes to `folder` told like one without room.

    Raises:
        EngineError: in place of the OSError; others stay as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise EngineError(_no_room(folder, needed_bytes)) from error


def free_bytes(folder: Path) -> int:
    """What the disk of a folder has room for; of one that is not there, that of the one above."""
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def _no_room(folder: Path, needed_bytes: int) -> str:
    needed, free = math.ceil(needed_bytes / MEGABYTE), free_bytes(folder) // MEGABYTE
    return (
        f"no room in {folder}: {needed} MB are needed there, and {free} MB are free. Free some, or "
        "name a folder on another disk"
    )

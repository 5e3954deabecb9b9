"""Files and folders that are there whole, or as they were before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to, and put that file in its place at the end.

    Where writing fails nothing is left of it, and a file that was at `path` is as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder where there is none, which is gone again where the block fails."""
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        if is_new:
            shutil.rmtree(path, ignore_errors=True)
        raise

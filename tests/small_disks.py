"""Disks of a few megabytes, mounted where one program alone sees them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

MOUNT_AND_RUN = """
mount -t tmpfs -o "$1" tmpfs "$2" && cd "$2" && shift 2 || exit 99
"$@" >&2
status=$?
ls -A
exit $status
"""


def need_mounts(*programs: str) -> None:
    """Skip the test where nothing can be mounted, or one of these programs is missing."""
    missing = [name for name in ("unshare", *programs) if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"mounts small disks: needs root, {' and '.join(('unshare', *programs))}")
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
    if tried.returncode:
        pytest.skip("mounts small disks, which this container forbids")


def on_a_small_disk(
    folder: Path, options: str, *command: str | Path
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What a command did with a small disk at `folder`, and what it left there.

    `options` are those of the mount, such as `size=5m`. All that it says is in `stderr`.
    """
    folder.mkdir()
    unshare = ("unshare", "--mount", "--propagation", "private")
    done = subprocess.run(
        [*unshare, "sh", "-c", MOUNT_AND_RUN, "sh", options, folder, *command],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done, done.stdout.split()

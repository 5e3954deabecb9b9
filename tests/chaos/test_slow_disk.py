"""The slow disk of a trial: as slow as it is told, for one folder, however that is reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chaos.slow_disk import SlowDisk
from tests.compiler import skip_without_compiler

CALL_SECONDS = 0.02

TIMED = """
import json, mmap, os, pathlib, struct, sys, time
below, beside, link = map(pathlib.Path, sys.argv[1:])
with open(below / "disk", "rb") as control:
    counts = mmap.mmap(control.fileno(), 16, prot=mmap.PROT_READ)
waited = lambda: struct.unpack_from("q", counts, 8)[0]
opened = os.open(below / "file", os.O_RDONLY)
folder = os.open(below, os.O_RDONLY)
print("ready", flush=True)
sys.stdin.readline()
calls = {
    "open": lambda: os.open(below / "file", os.O_RDONLY),
    "relative": lambda: os.open("below/file", os.O_RDONLY),
    "through a link": lambda: os.stat(link / "file"),
    "by its folder": lambda: os.stat("file", dir_fd=folder),
    "read": lambda: os.read(opened, 10),
    "look": lambda: os.fstat(opened),
    "missing": lambda: (below / "nothing").exists(),
    "list": lambda: os.listdir(below),
    "make": lambda: (below / "made").mkdir(),
    "move": lambda: (below / "made").rename(below / "moved"),
    "remove": lambda: (below / "moved").rmdir(),
    "write elsewhere": lambda: (beside / "file").write_text("b"),
    "look elsewhere": lambda: os.stat(beside),
    "a name that begins alike": lambda: os.stat(str(below) + "-not"),
}
found = {}
for name, call in calls.items():
    before, begun = waited(), time.monotonic()
    call()
    found[name] = waited() - before, time.monotonic() - begun
print(json.dumps(found))
"""
READS = (
    "import sys; print('ready', flush=True); sys.stdin.readline(); print(open(sys.argv[1]).read())"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    skip_without_compiler()
    for name in ("below", "below-not", "beside"):
        (tmp_path / name).mkdir()
    (tmp_path / "below" / "file").write_text("some text")
    (tmp_path / "link").symlink_to(tmp_path / "below")
    return tmp_path


def started(disk: SlowDisk, script: str, *arguments: Path) -> subprocess.Popen[str]:
    """A program under that disk, which waits for a line before it begins."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=arguments[0].parent if arguments[0].is_dir() else None,
        env=os.environ | disk.variables(),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_what_lies_below_is_slow_and_nothing_else(folder: Path) -> None:
    disk = SlowDisk(folder / "below")
    process = started(disk, TIMED, folder / "below", folder / "beside", folder / "link")
    assert disk.calls == 0
    disk.take(CALL_SECONDS)
    output, _ = process.communicate("\n", timeout=30)
    assert process.returncode == 0
    found = json.loads(output)
    elsewhere = {"write elsewhere", "look elsewhere", "a name that begins alike"}
    assert {name for name, (calls, _) in found.items() if calls == 0} == elsewhere
    for name, (calls, seconds) in found.items():
        assert seconds >= calls * CALL_SECONDS, name


def test_a_disk_that_hangs_is_mended_under_who_waits(folder: Path) -> None:
    disk = SlowDisk(folder / "below")
    process = started(disk, READS, folder / "below" / "file")
    disk.take(3600)
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    deadline = time.monotonic() + 10
    while disk.calls == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert process.poll() is None
    disk.take(0)
    output, _ = process.communicate(timeout=10)
    assert output == "some text\n"

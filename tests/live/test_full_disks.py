"""Disks that fill up: temporary folder, shared memory and repository, each of a few megabytes.

They are mounted where only the service sees them, which takes root.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.running import answers, free_port, wait_for
from tests.live.promoting import BUILT, classify
from tests.live.test_stack import ROOT, SUB50
from tests.small_disks import need_mounts

pytestmark = pytest.mark.live

MOUNT_AND_RUN = """
mount -t tmpfs -o size=$1 tmpfs /dev/shm && shift || exit 1
mount -t tmpfs -o size=$1 tmpfs "$2" && shift 2 || exit 1
mount -t tmpfs -o size=$1 tmpfs "$2" && cp -r "$3" "$2" && shift 3 || exit 1
exec "$@"
"""
PATIENT = {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"}


class Disks:
    """`sub50 serve` on small disks of its own."""

    def __init__(self, folder: Path, shared: str = "64m", temporary: str = "8m") -> None:
        self.temporary, self.repository = folder / "tmp", folder / "models"
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.log = folder / "service.log"
        for path in (self.temporary, self.repository):
            path.mkdir()
        disks = [shared, temporary, str(self.temporary), "60m", str(self.repository), str(BUILT)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private"),
                    *("sh", "-c", MOUNT_AND_RUN, "sh", *disks),
                    *(SUB50, "serve", f"--port={port}", f"--repository={self.repository}"),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | PATIENT | {"TMPDIR": str(self.temporary)},
            )

    @property
    def places(self) -> list[Path]:
        """The three disks, as this process reaches them."""
        root = Path(f"/proc/{self.process.pid}/root")
        inside = (Path("/dev/shm"), self.temporary, self.repository)
        return [root / path.relative_to("/") for path in inside]

    def fill(self) -> None:
        """Leave no byte free on any."""
        for place in self.places:
            with (place / "filler").open("wb", buffering=0) as filler:
                for size in (1 << 16, 1):
                    with pytest.raises(OSError, match="No space left on device"):
                        write_for_ever(filler, size)

    def free(self) -> None:
        """Give the room back."""
        for place in self.places:
            (place / "filler").unlink()

    def files(self) -> set[str]:
        """What the repository holds."""
        place = self.places[2]
        return {str(p.relative_to(place)) for p in place.rglob("*") if p.name != "filler"}

    def promote(self) -> subprocess.CompletedProcess[str]:
        """Promote a copy of the engine."""
        return subprocess.run(
            [
                *("nsenter", "--mount", f"--target={self.process.pid}", f"--wd={ROOT}"),
                *(SUB50, "engines", "promote", "sentiment", BUILT / "1", "--json"),
                *("--repository", self.repository),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )


def write_for_ever(file: io.FileIO, size: int) -> None:
    while True:
        file.write(b"x" * size)


@pytest.fixture(autouse=True)
def _mounts_are_allowed() -> None:
    need_mounts("nsenter")


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Disks]:
    running = Disks(tmp_path)
    try:
        wait_for(
            lambda: running.process.poll() is not None or answers(f"{running.url}/readyz"),
            60,
            running.log.read_text,
        )
        assert running.process.poll() is None, running.log.read_text()
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(30) == 0, running.log.read_text()
    finally:
        running.process.kill()
        running.process.wait()


def test_serving_goes_on_and_promoting_fails_whole_until_there_is_room(disks: Disks) -> None:
    before = disks.files()
    expected = classify(disks.url, "A gripping story.")["results"]
    disks.fill()
    assert classify(disks.url, "A gripping story.")["results"] == expected
    # A large answer and a large question take more shared memory than a small one.
    for text in ("word " * 200_000, "A gripping story."):
        assert classify(disks.url, text)["version"] == "1"
    failed = disks.promote()
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert str(disks.repository) in failed.stderr
    assert "Traceback" not in failed.stderr
    assert disks.files() - before <= {".sentiment.promotion.lock"}
    assert classify(disks.url, "A gripping story.")["results"] == expected
    assert answers(f"{disks.url}/readyz")
    disks.free()
    promoted = disks.promote()
    assert promoted.returncode == 0, promoted.stderr
    assert json.loads(promoted.stdout)["version"] == "2"
    again = classify(disks.url, "A gripping story.")
    assert (again["version"], again["results"]) == ("2", expected)


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"shared": "512k"}, ("no room in /dev/shm", "--shm-size")),
        ({"temporary": "1m"}, ("No space left on device", "TMPDIR")),
    ],
    ids=["shared memory", "temporary folder"],
)
def test_a_start_without_room_says_where(
    tmp_path: Path, sizes: dict[str, str], told: tuple[str, ...]
) -> None:
    disks = Disks(tmp_path, **sizes)
    try:
        status = disks.process.wait(60)
    finally:
        disks.process.kill()
        disks.process.wait()
    text = disks.log.read_text()
    assert status == 1
    assert all(words in text for words in told), text
    assert "Traceback" not in text
    assert "engines build" not in text

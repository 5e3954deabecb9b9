"""Making engines where there is no room: told with the folder and the room, and nothing is half."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from engines.build import VERSION, VERSION_BYTES, build_engines
from engines.catalog import CATALOG
from engines.deliver import Fit, deliver
from engines.errors import EngineError
from engines.model_config import REPOSITORY, write_model_files
from engines.room import free_bytes, full_disk_told, require_room
from engines.whole_file import new_folder
from tests.engines.test_build import CACHE, fetched
from tests.engines.test_deliver import destination, models_in, source  # noqa: F401
from tests.small_disks import need_mounts, on_a_small_disk

FULL = OSError(errno.ENOSPC, "No space left on device")
SUB50 = Path(sys.executable).with_name("sub50")


def test_room_is_asked_for_where_the_folder_will_be(tmp_path: Path) -> None:
    require_room(tmp_path / "to" / "be" / "made", 1)
    free = free_bytes(tmp_path)
    with pytest.raises(EngineError, match=rf"no room in {tmp_path}/models: \d+ MB are needed"):
        require_room(tmp_path / "models", free * 2)
    require_room(tmp_path / "models", free + 10**12, replaced_bytes=2 * 10**12)


def test_only_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="12 MB are needed"), full_disk_told(tmp_path, 11_000_001):
        raise FULL
    with pytest.raises(PermissionError), full_disk_told(tmp_path, 1):
        raise PermissionError


def test_a_folder_is_there_or_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    for name in ("old", "new"):
        with pytest.raises(FileNotFoundError), new_folder(tmp_path / name):
            (tmp_path / "old" / "nothing").rename(tmp_path / name / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_configuration_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model_files(CATALOG["sentiment"], tmp_path)
    folder = tmp_path / "sentiment"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write = Path.write_text

    def fills_up(path: Path, text: str, encoding: str | None = None) -> int:
        write(path, text[: len(text) // 2], encoding)
        raise FULL

    monkeypatch.setattr(Path, "write_text", fills_up)
    with pytest.raises(OSError, match="No space left"):
        write_model_files(CATALOG["sentiment"], tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@fetched
def test_a_build_without_room_says_so_before_it_begins(tmp_path: Path) -> None:
    need_mounts()
    folder = tmp_path / "models"
    command = (SUB50, "engines", "build", "topics", "--repository", folder, "--base", CACHE)
    done, left = on_a_small_disk(folder, "size=5m", *command)
    assert done.returncode == 1
    assert f"no room in {folder}/topics: 25 MB are needed there, and 5 MB are free" in done.stderr
    assert left == []


@fetched
def test_a_build_that_fills_the_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_up(_ingredients: object, _material: object, target: Path, _told: object) -> None:
        (target.parent / ".building-x").mkdir()
        raise FULL

    monkeypatch.setattr("engines.build.make_version", fills_up)
    with pytest.raises(EngineError, match=f"no room in {tmp_path}/models/topics: 25 MB are needed"):
        build_engines(["topics"], tmp_path / "models", CACHE)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_version_takes_what_is_said() -> None:
    built = [path.parent for path in REPOSITORY.glob(f"*/{VERSION}/card.json")]
    if not built:
        pytest.skip("no engine has been built")
    for folder in (path for path in built if path.parent.name in CATALOG):
        taken = sum(
            (folder / name).stat().st_size for name in ("model.onnx", "tokenizer.json", "card.json")
        )
        assert 0.9 * VERSION_BYTES < taken <= VERSION_BYTES


def test_a_delivery_without_room_changes_nothing(
    source: Path,  # noqa: F811
    destination: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deliver(source, destination, None, Fit())
    before = {path: path.read_bytes() for path in destination.rglob("*") if path.is_file()}
    monkeypatch.setattr("engines.room.free_bytes", lambda _: 0)
    deliver(source, destination, None, Fit())  # what is there makes room
    (source / "topics" / "labels.txt").write_text("label\n" * 100_000)
    with pytest.raises(EngineError, match=f"no room in {destination}: 1 MB are needed there"):
        deliver(source, destination, None, Fit())
    assert {path: path.read_bytes() for path in destination.rglob("*") if path.is_file()} == before


def test_a_delivery_that_fills_the_disk_leaves_nothing(source: Path, tmp_path: Path) -> None:  # noqa: F811
    need_mounts()
    folder = tmp_path / "models"
    # Room for its bytes, and not for so many files.
    command = (SUB50, "engines", "deliver", source, folder)
    done, left = on_a_small_disk(folder, "size=5m,nr_inodes=6", *command)
    assert done.returncode == 1
    assert f"no room in {folder}: 1 MB are needed there" in done.stderr
    assert "Traceback" not in done.stderr
    assert left == []
    assert models_in(source) == ["sentiment", "topics"]

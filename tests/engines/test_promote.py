"""Promotions on disk, where no service runs: whole or not at all."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.card import CARD_FILE, read_card
from core.versions import promotion_lock, served_folder
from engines.catalog import CATALOG
from engines.errors import EngineError
from engines.model_config import write_model_files
from engines.promote import promote, rollback
from engines.version_commands import NICENESS
from service.cli import app
from tests.tiny import card, empty_engine, write_version

LABELS = {"labels": ["negative", "positive"]}
runner = CliRunner()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    write_model_files(CATALOG["sentiment"], folder)
    write_version(folder / "sentiment" / "1", card("sentiment"))
    return folder


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    write_version(tmp_path / "made" / "1", card("sentiment"), mark=b"better")
    return tmp_path / "made" / "1"


def files(folder: Path) -> dict[str, bytes]:
    """Everything of a model but the lock, which says nothing."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


def served(repository: Path) -> str:
    version = served_folder(repository / "sentiment")
    assert version is not None
    return version.name


def test_a_candidate_becomes_the_next_version(repository: Path, candidate: Path) -> None:
    result = promote("sentiment", str(candidate), repository)
    assert (result["version"], result["before"], result["service"]) == ("2", "1", False)
    assert served(repository) == "2"
    version = repository / "sentiment" / "2"
    assert read_card(version).version == "2"
    assert (version / "model.onnx").read_bytes() == empty_engine(b"better")
    assert version.stat().st_mode & 0o777 == 0o755
    assert promote("sentiment", str(candidate), repository)["version"] == "3"


def test_there_and_back(repository: Path, candidate: Path) -> None:
    with pytest.raises(EngineError, match="no earlier version"):
        rollback("sentiment", repository)
    promote("sentiment", str(candidate), repository)
    result = rollback("sentiment", repository)
    assert (result["version"], result["before"]) == ("1", "2")
    assert served(repository) == "1"
    assert promote("sentiment", "2", repository)["version"] == "2"
    assert served(repository) == "2"
    with pytest.raises(EngineError, match="serves already"):
        promote("sentiment", "2", repository)


def refused(repository: Path, source: Path | str, **options: Any) -> str:
    """Why a promotion is refused, after checking that it has left everything as it was."""
    before = files(repository)
    with pytest.raises(EngineError) as caught:
        promote("sentiment", str(source), repository, **options)
    after = files(repository)
    after.pop("sentiment.served.json", None)
    assert after == before
    assert served(repository) == "1"
    return str(caught.value)


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json"])
def test_files_that_are_not_the_cards_are_named(
    repository: Path, candidate: Path, file: str
) -> None:
    with (candidate / file).open("ab") as changed:
        changed.write(b" ")
    assert str(candidate / file) in refused(repository, candidate)


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", CARD_FILE])
def test_a_missing_file_is_named(repository: Path, candidate: Path, file: str) -> None:
    (candidate / file).unlink()
    assert f"{candidate} lacks {file}" in refused(repository, candidate)


def test_a_card_that_is_none_is_named(repository: Path, candidate: Path) -> None:
    (candidate / CARD_FILE).write_text("{}")
    assert f"{candidate / CARD_FILE} is not a card" in refused(repository, candidate)


def test_other_labels_need_force(repository: Path, tmp_path: Path) -> None:
    other = card("sentiment", labels=["bad", "good"])
    write_version(tmp_path / "other", other)
    assert "--force" in refused(repository, tmp_path / "other")
    assert promote("sentiment", str(tmp_path / "other"), repository, force=True)["version"] == "2"


def test_what_is_neither_a_folder_nor_a_version_is_named(repository: Path, tmp_path: Path) -> None:
    assert "versions there: 1" in refused(repository, "2")
    assert str(tmp_path / "none") in refused(repository, tmp_path / "none")
    with pytest.raises(EngineError, match=r"no model topics.*there are: sentiment"):
        promote("topics", "1", repository)


def test_an_engine_file_that_the_model_was_tuned_to_has_to_be_there(
    repository: Path, candidate: Path
) -> None:
    config = repository / "sentiment" / "config.pbtxt"
    config.write_text(config.read_text() + '\ndefault_model_filename: "model.fp32.onnx"\n')
    assert "engines tune sentiment --reset" in refused(repository, candidate)


def test_a_full_disk_leaves_nothing_half_written(
    repository: Path, candidate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    assert "No space left" in refused(repository, candidate)


def test_two_promotions_at_once_are_an_error(repository: Path, candidate: Path) -> None:
    with promotion_lock(repository / "sentiment"):
        assert "under way" in refused(repository, candidate)
        with pytest.raises(EngineError, match="under way"):
            rollback("sentiment", repository)


def test_what_a_killed_promotion_left_is_removed(repository: Path, candidate: Path) -> None:
    left = repository / "sentiment" / ".incoming-killed"
    left.mkdir()
    (left / "model.onnx").write_bytes(b"half")
    promote("sentiment", str(candidate), repository)
    assert not left.exists()


def test_the_list_marks_what_is_served(repository: Path, candidate: Path) -> None:
    promote("sentiment", str(candidate), repository)
    rollback("sentiment", repository)
    arguments = ["engines", "list", "--repository", str(repository)]
    listed = runner.invoke(app, [*arguments, "--json"])
    found = {item["version"]: item["served"] for item in json.loads(listed.stdout)}
    assert found == {"1": True, "2": False}
    table = runner.invoke(app, arguments).stdout
    assert "sentiment 2 ○" in table
    assert "sentiment 1 ○" not in table


def test_the_command_says_what_happened(
    repository: Path, candidate: Path, steps_back: list[int]
) -> None:
    options = ["--repository", str(repository), "--json"]
    done = runner.invoke(app, ["engines", "promote", "sentiment", str(candidate), *options])
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["version"] == "2"
    assert "next start" in done.stderr
    assert steps_back == [NICENESS]
    failed = runner.invoke(app, ["engines", "promote", "sentiment", "9", *options])
    assert failed.exit_code == 1
    assert "versions there: 1, 2" in failed.stderr
    assert runner.invoke(app, ["engines", "rollback", "sentiment", *options]).exit_code == 0
    assert runner.invoke(app, ["engines", "rollback", "sentiment", *options]).exit_code == 1

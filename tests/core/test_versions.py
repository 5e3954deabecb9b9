"""Which version is served: the state file, what it survives, and who may change it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from core.card import Verdict
from core.versions import (
    Served,
    VersionError,
    conflicts,
    promotion_lock,
    read_served,
    served_folder,
    served_path,
    whole_card,
    write_served,
)
from tests.tiny import card, write_version


def model(folder: Path, *versions: str) -> Path:
    for version in versions:
        write_version(folder / "m" / version, card("m", version=version))
    return folder / "m"


def test_without_a_state_the_newest_number_is_served(tmp_path: Path) -> None:
    folder = model(tmp_path, "2", "10", "9")
    (folder / ".incoming-x").mkdir()
    (folder / "notes").mkdir()
    assert served_folder(folder) == folder / "10"
    assert served_folder(tmp_path / "none") is None


def test_the_state_names_the_version_that_is_served(tmp_path: Path) -> None:
    folder = model(tmp_path, "1", "2")
    write_served(folder, Served(version="1", previous=("2",)))
    assert served_folder(folder) == folder / "1"
    assert read_served(folder) == Served(version="1", previous=("2",))


@pytest.mark.parametrize("text", ["", "{}", '{"version": 2}', '{"version": "../1"}', "null"])
def test_a_malformed_state_is_named(tmp_path: Path, text: str) -> None:
    folder = model(tmp_path, "1")
    served_path(folder).write_text(text)
    with pytest.raises(VersionError, match=str(served_path(folder))):
        served_folder(folder)


def test_a_state_without_its_version_is_named(tmp_path: Path) -> None:
    folder = model(tmp_path, "1")
    write_served(folder, Served(version="7"))
    with pytest.raises(VersionError, match=r"version 7.*versions there: 1"):
        served_folder(folder)


def test_going_back_walks_through_what_served_before(tmp_path: Path) -> None:
    folder = model(tmp_path, "1", "3", "4")
    state = Served(version="1").promoted("2").promoted("3").promoted("4")
    assert state.previous == ("1", "2", "3")
    state = state.rolled_back(folder)
    assert state == Served(version="3", previous=("1",)), "2 is not there any more"
    state = state.rolled_back(folder)
    with pytest.raises(VersionError, match="no earlier version"):
        state.rolled_back(folder)
    assert Served(version="2", previous=("1",)).promoted("1") == Served(
        version="1", previous=("2",)
    )


def test_a_state_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model(tmp_path, "1", "2")
    write_served(folder, Served(version="1"))
    before = sorted(path.name for path in tmp_path.iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VersionError, match="No space left"):
        write_served(folder, Served(version="2"))
    assert read_served(folder) == Served(version="1")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_two_promotions_at_once_are_told_apart(tmp_path: Path) -> None:
    folder = model(tmp_path, "1")
    with (
        promotion_lock(folder),
        pytest.raises(VersionError, match="under way"),
        promotion_lock(folder),
    ):
        pass
    with promotion_lock(folder):
        pass


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json", "card.json"])
def test_a_version_that_is_not_whole_is_named(tmp_path: Path, missing: str) -> None:
    folder = model(tmp_path, "1")
    (folder / "1" / missing).unlink()
    with pytest.raises(VersionError, match=str(folder / "1" / missing)):
        whole_card(folder / "1")


def test_a_card_of_another_version_or_model_is_named(tmp_path: Path) -> None:
    folder = model(tmp_path, "1")
    (folder / "1").rename(folder / "2")
    with pytest.raises(VersionError, match="card of version '1'"):
        whole_card(folder / "2")
    (tmp_path / "n").mkdir()
    (folder / "2").rename(tmp_path / "n" / "1")
    with pytest.raises(VersionError, match="card of 'm'"):
        whole_card(tmp_path / "n" / "1")


@pytest.mark.parametrize(
    ("changes", "words", "forced"),
    [
        ({"labels": ["positive", "negative"]}, "labels are positive, negative", True),
        ({"problem_type": "multi_label"}, "problem type", True),
        ({"labels": ["a", "b", "c"]}, "3 labels, not 2", False),
        ({"task": "summarize"}, "task is 'summarize'", False),
        ({"output": "embedding"}, "output is 'embedding'", False),
        ({"name": "n"}, "engine of 'n'", False),
        ({"gate": Verdict(passed=False, reasons=["answers move"])}, "answers move", False),
    ],
)
def test_what_cannot_take_over_says_why(changes: dict[str, Any], words: str, forced: bool) -> None:
    served = card("m")
    assert conflicts(served, card("m", version="2")) == []
    candidate = card("m").model_copy(update=changes)
    assert words in "; ".join(conflicts(served, candidate))
    assert (conflicts(served, candidate, force=True) == []) is forced

"""Importing tiny checkpoints with random weights into a repository."""

from __future__ import annotations

import errno
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from core.card import ENGINE_FILE, read_card
from engines.checksums import file_sha256
from engines.errors import EngineError, GateError
from engines.importing import Import, import_checkpoint
from engines.listing import engine_table, read_cards
from engines.model_config import read_config
from tests.engines.tiny_checkpoints import LABELS, write_checkpoint

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
pytestmark = pytest.mark.train

BERT = "BertForSequenceClassification"


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a checkpoint."""
    return str(write_checkpoint(tmp_path_factory.mktemp("bert"), BERT))


def test_an_import_is_whole_and_listed(bert: str, tmp_path: Path) -> None:
    folder = Path(bert)
    card = import_checkpoint(Import(str(folder), "mine"), tmp_path)
    model = tmp_path / "mine"
    assert {path.name for path in model.iterdir()} == {"1", "config.pbtxt", "labels.txt"}
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}
    config = read_config(model / "config.pbtxt")
    assert config.output[0].dims == [len(LABELS)]
    assert "engines import" in (model / "config.pbtxt").read_text()
    assert (model / "labels.txt").read_text().split() == list(LABELS)
    assert read_card(model / "1") == card == read_cards(tmp_path)[0]
    assert engine_table(tmp_path).row_count == 1
    assert card.gate.passed
    files: Any = (card.imported or {})["files"]
    assert files["config.json"] == file_sha256(folder / "config.json")
    assert {"torch", "transformers", "onnxscript"} < set(card.tools)
    assert card.engine_sha256 == file_sha256(model / "1" / ENGINE_FILE)
    assert card.drift.mean_change > 0

    before = (model / "1" / "card.json").read_bytes()
    with pytest.raises(EngineError, match="exists; choose another name, or replace it"):
        import_checkpoint(Import(str(folder), "mine"), tmp_path)
    assert (model / "1" / "card.json").read_bytes() == before
    again = import_checkpoint(Import(str(folder), "mine", ("a", "b", "c"), force=True), tmp_path)
    assert again.labels == ["a", "b", "c"]
    assert (model / "labels.txt").read_text().split() == ["a", "b", "c"]
    assert {path.name for path in tmp_path.iterdir()} == {"mine"}


def test_without_room_nothing_is_left(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fills_up(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("engines.importing.written_tokenizer", fills_up)
        with pytest.raises(EngineError, match=f"no room in {tmp_path}: 1 MB are needed there"):
            import_checkpoint(Import(bert, "mine"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("engines.room.free_bytes", lambda _: 0)
    with pytest.raises(EngineError, match=f"no room in {tempfile.gettempdir()}: 1 MB are needed"):
        import_checkpoint(Import(bert, "mine"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["sentiment", "../up", ".hidden", "a b", ""])
def test_a_name_that_cannot_be_had_is_refused_first(name: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="--name"):
        import_checkpoint(Import("nowhere", name), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_multi_label_and_data_of_ones_own(tmp_path: Path) -> None:
    folder = write_checkpoint(
        tmp_path / "checkpoint", BERT, problem_type="multi_label_classification"
    )
    data = tmp_path / "rows.jsonl"
    texts = [f"the film {'good ' * (n % 9)}{'bad ' * (n % 7)}." for n in range(80)]
    data.write_text("".join(json.dumps({"text": t, "label": [LABELS[0]]}) + "\n" for t in texts))
    card = import_checkpoint(Import(str(folder), "many", data=data), tmp_path / "repository")
    assert card.problem_type == "multi_label"
    (figures,) = card.accuracy
    assert (figures.data, figures.rows) == ("rows.jsonl", 60)
    assert figures.accuracy >= figures.reference_accuracy - 0.01
    assert card.drift.texts == 60


def test_a_regression(tmp_path: Path) -> None:
    folder = write_checkpoint(
        tmp_path / "checkpoint", "DistilBertForSequenceClassification", ("stars",)
    )
    card = import_checkpoint(Import(str(folder), "stars"), tmp_path / "repository")
    assert card.problem_type == "regression"
    assert card.labels == ["stars"]
    assert card.drift.labels_changed == 0


def test_what_the_gate_refuses_leaves_the_old_model(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bert
    import_checkpoint(Import(folder, "mine"), tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr("engines.gate.INVARIANCE_LIMIT", -1.0)
    with pytest.raises(GateError, match="batch-mates or padding"):
        import_checkpoint(Import(folder, "mine", force=True), tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_slower_of_two_imports_of_one_name_is_refused(
    bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines import importing

    def make(name: str, *_: object) -> None:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.pbtxt").write_text("the other's")

    monkeypatch.setattr(importing, "_make", make)
    with pytest.raises(EngineError, match="mine exists"):
        import_checkpoint(Import(bert, "mine"), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "config.pbtxt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interrupt_leaves_the_old_model(
    error: BaseException,
    bert: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.pbtxt").write_text("as before")

    def save(*_: object) -> None:
        raise error

    monkeypatch.setattr("engines.importing.onnx.save", save)
    expected = EngineError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        import_checkpoint(Import(bert, "mine", force=True), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "config.pbtxt"]

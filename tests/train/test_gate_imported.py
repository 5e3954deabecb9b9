"""`sub50 engines gate` of an imported engine, against its checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.card import ENGINE_FILE, read_card
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.gate_command import run_gate
from engines.importing import Import, import_checkpoint
from tests.engines.tiny_checkpoints import LABELS, write_checkpoint

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "checkpoint", "BertForSequenceClassification")
    import_checkpoint(Import(str(tmp_path / "checkpoint"), "mine"), tmp_path / "models")
    return tmp_path / "models"


def test_it_finds_what_the_import_found(repository: Path, tmp_path: Path) -> None:
    found = run_gate("mine", None, repository)
    card = read_card(repository / "mine" / "1")
    assert (found["version"], found["passed"], found["reasons"]) == ("1", True, [])
    assert found["drift"]["texts"] == card.drift.texts
    assert found["drift"]["mean_change"] == pytest.approx(card.drift.mean_change, abs=1e-5)
    assert found["accuracy"] == []
    data = tmp_path / "rows.jsonl"
    texts = [f"the film {'good ' * (n % 9)}{'bad ' * (n % 7)}." for n in range(80)]
    data.write_text("".join(json.dumps({"text": t, "label": LABELS[0]}) + "\n" for t in texts))
    (figures,) = run_gate("mine", "1", repository, data)["accuracy"]
    assert (figures["data"], figures["rows"]) == ("rows.jsonl", 60)


def test_another_engine_file_is_refused_with_the_reasons(repository: Path, tmp_path: Path) -> None:
    other = write_checkpoint(
        tmp_path / "other", "BertForSequenceClassification", initializer_range=0.3
    )
    import_checkpoint(Import(str(other), "other"), repository)
    engine = repository / "mine" / "1" / ENGINE_FILE
    engine.write_bytes((repository / "other" / "1" / ENGINE_FILE).read_bytes())
    found = run_gate("mine", "1", repository)
    assert not found["passed"]
    assert any("not the file that the card was made for" in each for each in found["reasons"])
    assert any("against the unquantized graph" in each for each in found["reasons"])


def test_another_checkpoint_is_told_by_its_files(repository: Path, tmp_path: Path) -> None:
    before = file_sha256(tmp_path / "checkpoint" / "model.safetensors")
    write_checkpoint(
        tmp_path / "checkpoint", "BertForSequenceClassification", initializer_range=0.3
    )
    assert file_sha256(tmp_path / "checkpoint" / "model.safetensors") != before
    with pytest.raises(EngineError, match=r"model\.safetensors changed since"):
        run_gate("mine", "1", repository)

"""`sub50 engines tune` of an imported engine whose checkpoint is still there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE, read_card
from engines.checksums import file_sha256
from engines.cli import engines_app
from engines.importing import Import, import_checkpoint
from engines.model_config import CONFIG_FILE, read_config
from engines.runtimes import REFERENCE_FILE
from tests.engines.tiny_checkpoints import write_checkpoint

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
QUICK = ("--seconds", "0.1", "--lengths", "20:1", "--runtime", "onnxruntime")


def ended(repository: Path, *arguments: str) -> Any:
    command = ["tune", "mine", *arguments, "--repository", str(repository), "--json"]
    return CliRunner().invoke(engines_app, command)


def test_fp32_is_measured_and_served_from_the_checkpoint_wherever_it_lies(tmp_path: Path) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", "BertForSequenceClassification")
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(f'{{"text": "a film of {n} stars", "label": 0}}\n' for n in range(80)))
    repository = tmp_path / "models"
    import_checkpoint(Import(str(checkpoint), "mine", data=data), repository)
    version, config = repository / "mine" / "1", repository / "mine" / CONFIG_FILE
    card, untuned = read_card(version), config.read_bytes()

    shutil.move(checkpoint, tmp_path / "moved")
    moved = ("--source", str(tmp_path / "moved"))
    found = ended(repository, *QUICK, "--precision", "fp32", "--data", str(data), *moved)
    assert found.exit_code == 0, found.output
    (tuned,) = json.loads(found.stdout)
    assert tuned["left_out"] == []
    assert all(each["gate"] == {"passed": True, "reasons": []} for each in tuned["candidates"])
    assert read_config(config).default_model_filename == REFERENCE_FILE
    assert read_card(version).reference_bytes == (version / REFERENCE_FILE).stat().st_size
    assert read_card(version).engine_sha256 == file_sha256(version / ENGINE_FILE)

    assert ended(repository, "--reset").exit_code == 0
    assert config.read_bytes() == untuned
    assert read_card(version) == card
    assert not (version / REFERENCE_FILE).exists()

    write_checkpoint(tmp_path / "moved", "BertForSequenceClassification", initializer_range=0.3)
    refused = ended(repository, *QUICK, "--data", str(data), *moved)
    assert refused.exit_code == 1
    assert "model.safetensors changed since" in refused.stderr

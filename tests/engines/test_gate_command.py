"""`sub50 engines gate`: yes or no for an engine on disk, with the reasons."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.card import CARD_FILE, ENGINE_FILE, read_card, write_card
from engines.base import CACHE, SHA256
from engines.catalog import spec_of
from engines.model_config import REPOSITORY, write_model_files
from service.cli import app
from tests.tiny import card as made_up
from tests.tiny import write_version

runner = CliRunner()
BUILT = REPOSITORY / "sentiment" / "1"
built = pytest.mark.skipif(
    not ((BUILT / ENGINE_FILE).is_file() and all((CACHE / name).is_file() for name in SHA256)),
    reason="no engine has been built",
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    shutil.copytree(BUILT, tmp_path / "sentiment" / "1")
    return tmp_path


def gate(repository: Path, *arguments: str) -> tuple[int, str, str]:
    options = ["--repository", str(repository), "--json"]
    done = runner.invoke(app, ["engines", "gate", *arguments, *options])
    return done.exit_code, done.stdout, done.stderr


@built
def test_a_built_engine_passes(repository: Path) -> None:
    code, output, errors = gate(repository, "sentiment")
    assert code == 0, errors
    found = json.loads(output)
    assert (found["version"], found["passed"], found["reasons"]) == ("1", True, [])
    card = read_card(repository / "sentiment" / "1")
    assert found["invariance"]["largest_change"] <= card.invariance.limit


@built
def test_another_engine_file_is_refused_with_the_reasons(repository: Path) -> None:
    """The engine of another task, under this one's card."""
    wrong = REPOSITORY / "contracts" / "1" / ENGINE_FILE
    shutil.copyfile(wrong, repository / "sentiment" / "1" / ENGINE_FILE)
    code, output, _ = gate(repository, "sentiment", "1")
    assert code == 1
    reasons = json.loads(output)["reasons"]
    assert any("not the file that the card was made for" in reason for reason in reasons)
    assert any("against the unquantized graph" in reason for reason in reasons)


@built
def test_an_engine_of_another_adapter_cannot_be_measured(repository: Path) -> None:
    version = repository / "sentiment" / "1"
    write_card(read_card(version).model_copy(update={"adapter_sha256": "0" * 64}), version)
    code, _, errors = gate(repository, "sentiment")
    assert code == 1
    assert "another base or adapter" in errors


@built
def test_what_is_not_there_is_named(repository: Path) -> None:
    assert "versions there: 1" in gate(repository, "sentiment", "7")[2]
    assert "unknown model nonsense" in gate(repository, "nonsense")[2]
    (repository / "sentiment" / "1" / CARD_FILE).write_text("{}")
    assert "no card that can be read" in gate(repository, "sentiment")[2]


def test_an_imported_engine_without_its_checkpoint_cannot_be_measured(tmp_path: Path) -> None:
    version = tmp_path / "mine" / "1"
    imported = {"base": "/gone/checkpoint", "imported": {"files": {}}}
    write_version(version, made_up("mine", **imported))
    write_model_files(spec_of(read_card(version)), tmp_path)
    code, _, errors = gate(tmp_path, "mine")
    assert code == 1
    assert "was imported from /gone/checkpoint" in errors
    assert "Its card says what its own gate found" in errors

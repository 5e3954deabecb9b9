"""The command line: what people read when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from tests.service.conftest import Service

runner = CliRunner()


def test_a_wrong_setting_is_named_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_MAX_INPUTS", "many")
    result = runner.invoke(app, ["serve"])
    assert result.exit_code == 1
    assert "SUB50_MAX_INPUTS" in result.stderr
    assert "many" in result.stderr


def test_the_api_needs_a_triton() -> None:
    result = runner.invoke(app, ["api"])
    assert result.exit_code == 1
    assert "--triton" in result.stderr


def test_labels_as_a_table_and_as_json(service: Service) -> None:
    table = runner.invoke(app, ["classify", "a good film", "--url", service.url])
    assert table.exit_code == 0
    assert "positive" in table.stdout
    piped = runner.invoke(app, ["classify", "a good film", "--url", service.url, "--json"])
    assert json.loads(piped.stdout)["model"] == "sentiment"


def test_a_summary_of_standard_input(service: Service) -> None:
    arguments = ["summarize", "-", "--sentences", "1", "--url", service.url]
    result = runner.invoke(app, arguments, input="The term is [bold]good[/bold]. The film is bad.")
    assert result.exit_code == 0
    assert "1 of 2 sentences" in result.stdout


def test_the_services_refusal_is_shown(service: Service) -> None:
    result = runner.invoke(app, ["classify", "  ", "--url", service.url])
    assert result.exit_code == 1
    assert "422" in result.stderr
    assert "blank" in result.stderr


@pytest.mark.parametrize("url", ["ftp://x", "localhost:8080"])
def test_a_strange_address_is_named(url: str) -> None:
    result = runner.invoke(app, ["classify", "x", "--url", url])
    assert result.exit_code == 1
    assert url in result.stderr


def test_a_binary_file_is_no_document(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"\xff\xfe\x00")
    result = runner.invoke(app, ["summarize", str(path)])
    assert result.exit_code == 1
    assert "UTF-8" in result.stderr


def test_an_import_says_what_is_wrong_with_the_checkpoint(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    options = ["--name", "mine", "--repository", str(repository)]
    result = runner.invoke(app, ["engines", "import", str(tmp_path), *options])
    assert result.exit_code == 1
    assert "no config.json" in result.stderr
    assert not repository.exists()
    result = runner.invoke(app, ["engines", "import", str(tmp_path), *options[2:], "--name", "a b"])
    assert result.exit_code == 1
    assert "--name 'a b'" in result.stderr

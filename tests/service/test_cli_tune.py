"""The command `sub50 engines tune`: what people read when it cannot do what they ask."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engines.catalog import CATALOG
from engines.making_commands import tune
from engines.model_config import write_model_files
from engines.tune_choice import Choice
from service.cli import app
from tests.tiny import card, write_model

runner = CliRunner()


@pytest.fixture
def repository(tmp_path: Path) -> str:
    write_model(tmp_path, card("sentiment"))
    write_model_files(CATALOG["sentiment"], tmp_path)
    return str(tmp_path)


def test_an_engine_that_is_not_built_is_named(tmp_path: Path) -> None:
    result = runner.invoke(app, ["engines", "tune", "topics", "--repository", str(tmp_path)])
    assert result.exit_code == 1
    assert "sub50 engines build topics" in result.stderr


def test_reset_answers_with_the_models(repository: str) -> None:
    arguments = ["engines", "tune", "sentiment", "--reset", "--json", "--repository", repository]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == [{"model": "sentiment", "winner": None}]
    assert "Restart" in result.stderr


def test_a_wrong_mix_or_plot_is_refused_before_anything_is_measured(repository: str) -> None:
    pytest.importorskip("matplotlib")
    arguments = ["engines", "tune", "sentiment", "--repository", repository]
    wrong = runner.invoke(app, [*arguments, "--lengths", "many"])
    assert wrong.exit_code == 1
    assert "--lengths 'many'" in wrong.stderr
    unplotted = runner.invoke(app, [*arguments, "--plot", "plot.txt"])
    assert unplotted.exit_code == 1
    assert "must end in .svg" in unplotted.stderr


def test_without_openvino_it_is_said_how_to_get_it(
    repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    arguments = ["engines", "tune", "sentiment", "--repository", repository]
    result = runner.invoke(app, [*arguments, "--runtime", "openvino"])
    assert result.exit_code == 1
    assert "pip install 'sub50[tune]'" in result.stderr


def test_defaults_are_those_of_the_library() -> None:
    options = inspect.signature(tune).parameters
    assert options["lengths"].default == Choice().lengths
    assert options["seconds"].default == Choice().seconds

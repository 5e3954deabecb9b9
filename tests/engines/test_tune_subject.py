"""What `sub50 engines tune` finds in a repository, and what it says where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.card import ENGINE_FILE
from core.versions import Served, write_served
from engines.build import build_engines
from engines.catalog import spec_of
from engines.errors import DataError, EngineError
from engines.import_measure import Texts
from engines.model_config import write_model_files
from engines.tune import reset_engines, tune_engines
from engines.tune_choice import Choice
from engines.tune_subject import all_models, subjects
from tests.tiny import card, write_model, write_version

IMPORTED = {"imported": {"architecture": "Bert", "files": {}}, "base": "stars-checkpoint"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A default model with two versions, an imported model, and one that was fine-tuned."""
    for made in (card("sentiment"), card("stars", **IMPORTED), card("tickets", adapter="tickets")):
        write_model(tmp_path, made)
        write_model_files(spec_of(made), tmp_path)
    write_version(tmp_path / "sentiment" / "2", card("sentiment", version="2"))
    return tmp_path


def test_what_is_served_is_tuned_whatever_it_was_made_of(repository: Path) -> None:
    assert [(each.name, each.folder.name) for each in subjects(None, repository)] == [
        ("sentiment", "2"),
        ("stars", "1"),
        ("tickets", "1"),
    ]
    write_served(repository / "sentiment", Served(version="1"))
    assert subjects(["sentiment"], repository)[0].folder.name == "1"


def test_all_models_are_those_of_the_repository(repository: Path, tmp_path: Path) -> None:
    assert all_models(repository) == ["sentiment", "stars", "tickets"]
    with pytest.raises(EngineError, match=r"no models in .*`sub50 engines build`, `import`"):
        all_models(tmp_path / "empty")


def test_an_unknown_name_lists_the_models_and_what_makes_one(repository: Path) -> None:
    with pytest.raises(
        EngineError, match=r"unknown model mood: .* sentiment, stars, tickets\. "
    ) as e:
        subjects(["mood"], repository)
    assert "sub50 engines import CHECKPOINT --name mood" in str(e.value)
    assert "sub50 engines finetune mood --data FILE" in str(e.value)
    with pytest.raises(EngineError, match=r"the model '\.\./up'"):
        subjects(["../up"], repository)


def test_a_missing_engine_is_named_with_its_own_command(repository: Path) -> None:
    (repository / "stars" / "1" / ENGINE_FILE).unlink()
    expected = "`sub50 engines import stars-checkpoint --name stars --force` makes it"
    with pytest.raises(EngineError, match=expected):
        reset_engines(["stars"], repository)
    (repository / "tickets" / "1" / "card.json").unlink()
    with pytest.raises(EngineError, match=r"no card that can be read.*finetune tickets"):
        tune_engines(["tickets"], repository, Choice())
    with pytest.raises(EngineError, match="sub50 engines build topics"):
        tune_engines(["topics"], repository, Choice())


def test_build_says_what_makes_a_model_that_it_does_not(repository: Path) -> None:
    with pytest.raises(EngineError, match="`sub50 engines import stars-checkpoint --name stars -"):
        build_engines(["stars"], repository)
    with pytest.raises(EngineError, match="`sub50 engines finetune tickets --data FILE` makes it"):
        build_engines(["tickets"], repository)


def test_a_model_of_ones_own_is_measured_with_a_file(repository: Path) -> None:
    for name in ("stars", "tickets"):
        with pytest.raises(DataError, match=f"name one file with the texts of {name}"):
            subjects([name], repository, repository)
    data = repository / "rows.jsonl"
    texts = [f"the {'good ' * (n % 9)}{'bad ' * (n % 7)}film {n}." for n in range(80)]
    rows = [json.dumps({"text": text, "label": "negative"}) for text in texts]
    data.write_text("\n".join(rows))
    imported, trained = subjects(["stars", "tickets"], repository, data)
    assert isinstance(imported.texts, Texts)
    assert len(imported.texts.examples) == 60
    assert not isinstance(trained.texts, Texts)
    assert [(n, len(items)) for n, items in trained.texts.labelled.items()] == [("rows.jsonl", 60)]


def test_a_source_is_of_one_model(repository: Path) -> None:
    for names in (None, ["stars", "tickets"]):
        with pytest.raises(EngineError, match="--source is of one model"):
            tune_engines(names, repository, Choice(source=repository))

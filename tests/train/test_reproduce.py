"""An adapter trained again from its card: the same bytes, or a word on what differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engines.cli import engines_app
from engines.errors import AdapterError, DataError
from engines.tasks import TASKS
from tests.train.test_finetune import TASK, write
from tests.train.test_trainer import made_texts

pytest.importorskip("torch", reason="the training side is not installed")


@pytest.fixture(scope="module")
def made(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a default task's adapter (`mood`), of a data set's (`notes`), and their data."""
    from engines.finetune import finetune
    from engines.finetuning import FineTuning, Reading, finetune_on, read_data
    from engines.recipe import Recipe

    root = tmp_path_factory.mktemp("made")
    for source in ("notes", "lines"):
        write(root / f"data/{source}/train.jsonl.gz", made_texts(300, 1))
        write(root / f"data/{source}/validation.jsonl.gz", made_texts(50, 2))
    finetune(TASK, root / "data", base, root / "work", root / "mood")
    recipe = Recipe(1, 32, learning_rate=5e-3, tokens_per_batch=512, seed=7)
    data = root / "data/notes/train.jsonl.gz"
    asked = FineTuning("notes", data, Reading(), recipe, root / "notes", root / "work")
    finetune_on(read_data(asked), asked, base)
    return root


@pytest.fixture(autouse=True)
def known_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASKS, "mood", TASK)


def again(made: Path, name: str, base: Path, work: Path, **changes: Any) -> dict[str, Any]:
    from engines.reproduce import reproduce
    from engines.trained_on import read_record

    data = made / ("data" if name == "mood" else "data/notes/train.jsonl.gz")
    return reproduce({**read_record(made / name), **changes}, data, base, work)


@pytest.mark.parametrize("name", ["mood", "notes"])
def test_the_same_bytes_come_out(made: Path, name: str, base: Path, tmp_path: Path) -> None:
    result = again(made, name, base, tmp_path)
    assert result["equal"] is True
    assert result["differences"] == []
    adapters = [folder / "adapter.safetensors" for folder in (made / name, Path(result["adapter"]))]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()


def test_the_cards_recipe_is_followed_not_todays(made: Path, base: Path, tmp_path: Path) -> None:
    from engines.trained_on import read_record

    recipe = {**read_record(made / "mood")["recipe"], "seed": 51}
    result = again(made, "mood", base, tmp_path, recipe=recipe)
    assert result["equal"] is False
    trained = json.loads((Path(result["adapter"]) / "card.json").read_text())
    assert trained["recipe"]["seed"] == 51


def test_other_data_are_refused_before_training(made: Path, base: Path, tmp_path: Path) -> None:
    from engines.reproduce import reproduce
    from engines.trained_on import read_record

    shutil.copytree(made / "data", tmp_path / "data")
    write(tmp_path / "data/lines/train.jsonl.gz", made_texts(300, 9))
    card = read_record(made / "mood")
    with pytest.raises(DataError, match=r"lines: train\.jsonl\.gz is not the file"):
        reproduce(card, tmp_path / "data", base, tmp_path / "work")
    (tmp_path / "data/lines/train.jsonl.gz").unlink()
    with pytest.raises(DataError, match=r"lines: train\.jsonl\.gz is missing"):
        reproduce(card, tmp_path / "data", base, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_another_base_is_refused(made: Path, base: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="trained on the base 000000"):
        again(made, "mood", base, tmp_path, base_sha256="0" * 64)


def test_versions_that_differ_are_named() -> None:
    from engines.reproduce import differences

    assert differences({"torch": "1", "peft": "2"}, {"torch": "3", "peft": "2"}) == [
        "torch: 1 then, 3 now"
    ]


def test_a_folder_without_its_record_is_refused(made: Path, tmp_path: Path) -> None:
    from engines.trained_on import read_record

    with pytest.raises(AdapterError, match="no card at"):
        read_record(tmp_path)
    shutil.copytree(made / "mood", tmp_path / "mood")
    with (tmp_path / "mood/adapter.safetensors").open("ab") as file:
        file.write(b"0")
    with pytest.raises(AdapterError, match="not the file its card describes"):
        read_record(tmp_path / "mood")
    (tmp_path / "mood/card.json").write_text('{"task": "mood"}')
    with pytest.raises(AdapterError, match="lacks labels, adapter_sha256"):
        read_record(tmp_path / "mood")


def test_the_exit_status_tells(made: Path, base: Path, tmp_path: Path,
                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr("engines.base.ensure_base", lambda folder: base)
    shutil.copytree(made / "mood", tmp_path / "mood")
    arguments = ["reproduce", str(tmp_path / "mood"), "--data", str(made / "data")]
    arguments += ["--work", str(tmp_path / "work"), "--json"]
    same = CliRunner().invoke(engines_app, arguments)
    assert same.exit_code == 0, same.stderr
    assert json.loads(same.stdout)["equal"] is True
    card = json.loads((tmp_path / "mood/card.json").read_text())
    card["recipe"]["seed"], card["tools"]["torch"] = 51, "1.0"
    (tmp_path / "mood/card.json").write_text(json.dumps(card))
    other = CliRunner().invoke(engines_app, arguments)
    assert other.exit_code == 1
    assert "torch: 1.0 then" in other.stderr

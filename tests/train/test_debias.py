"""An adapter evened out: what it answers of groups, what it keeps, and that it comes out again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engines import debias_texts
from engines.checksums import file_sha256
from engines.cli import engines_app
from engines.data import LabelledText
from engines.debias_texts import TEACHINGS, Teaching
from engines.errors import AdapterError, DataError
from engines.fairness_texts import filled
from engines.merge import ADAPTERS
from tests.train.test_finetuning import write_csv
from tests.train.test_trainer import made_texts

pytest.importorskip("torch", reason="the training side is not installed")

# Tokens of the tiny tokenizer: in the data they stand for a bad word, and for a good one.
GROUPS = {"disliked": ("x",), "liked": ("contract",)}
TAUGHT = ("{} a film", "the film the {}", "a term {} film", "the term a {}")
# Asked of, and never taught. All words stand in the data: of others nothing is learned, and what an
# adapter says of them differs from processor to processor.
ASKED = ("{} the film", "a film {}", "the term {} a film")


@pytest.fixture(scope="module")
def root(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter, `moods`, that has learned to like one group, and its data."""
    from engines.finetuning import FineTuning, Reading, finetune_on, read_data
    from engines.recipe import Recipe

    folder = tmp_path_factory.mktemp("unfair")
    texts = made_texts(500, 1)
    for label, words in enumerate(GROUPS.values()):
        about = [each.text for each in made_texts(400, 3 + label) if each.label == label]
        texts += [LabelledText(re.sub("good|bad", words[0], each), label) for each in about]
    data = write_csv(folder / "data.csv", texts)
    recipe = Recipe(8, 32, learning_rate=5e-3, tokens_per_batch=512, seed=7)
    asked = FineTuning("moods", data, Reading(), recipe, folder / "moods", folder / "work")
    finetune_on(read_data(asked), asked, base)
    return folder


@pytest.fixture(autouse=True, scope="module")
def taught() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(debias_texts, "TEACHINGS", (Teaching(GROUPS, TAUGHT),))
        yield


@pytest.fixture(scope="module")
def even(root: Path, base: Path) -> Path:
    evened(root, base, root / "even" / "moods")
    return root / "even" / "moods"


def evened(root: Path, base: Path, out: Path, **changes: Any) -> dict[str, Any]:
    from engines.debias import Debiasing, debias, recipe_for

    changes = {
        "steps": 120,
        "learning_rate": 6e-3,
        "even_weight": 20.0,
        "sentences": 4,
        "tokens_per_batch": 512,
    } | changes
    recipe = recipe_for(root / "moods", **changes)
    work = out.with_name("work")
    return debias(Debiasing(root / "moods", root / "data.csv", recipe, out, work), base)


def answers(base: Path, folder: Path, texts: list[str]) -> Any:
    """P(positive) of an adapter folder."""
    from safetensors.torch import load_file

    from engines.trained_on import read_record, recipe_of
    from engines.trainer import Trainer

    card = read_record(folder)
    trained = load_file(folder / "adapter.safetensors")
    labels = tuple(card["labels"])
    trainer = Trainer(base, labels, recipe_of(card), folder / "none", start=trained)
    return trainer.scores(texts)[:, labels.index("positive")]


def gap(base: Path, folder: Path) -> float:
    means = [
        answers(base, folder, [filled(each, word) for each in ASKED for word in words]).mean()
        for words in GROUPS.values()
    ]
    return float(means[1] - means[0])


def test_groups_are_answered_alike_and_other_texts_as_before(
    root: Path, base: Path, even: Path
) -> None:
    card = json.loads((even / "card.json").read_text())
    before, after = gap(base, root / "moods"), gap(base, even)
    assert before > 0.3
    assert abs(after) < before / 4
    texts = [each.text for each in made_texts(200, 9)]
    was, now = (answers(base, each, texts) for each in (root / "moods", even))
    assert ((was > 0.5) == (now > 0.5)).mean() > 0.97
    debiased = card["debiased"]
    assert debiased["adapter_sha256"] == file_sha256(root / "moods" / "adapter.safetensors")
    assert card["adapter_sha256"] == file_sha256(even / "adapter.safetensors")
    assert [each["step"] for each in debiased["history"]] == [100, 120]
    assert debiased["history"][-1]["even"] < debiased["history"][0]["even"]
    for figures in (debiased["before"], debiased["after"]):
        assert set(figures["gap"]) >= {"gender, by name", "origin, by name"}
        assert 0.5 < figures["accuracy"]["validation"] <= 1
    assert list(even.with_name("work").iterdir()) == []


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    root: Path, base: Path, even: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.debias_trainer import DebiasTrainer

    steps = []
    even_step = DebiasTrainer._even_step

    def interrupted(self: Any, rows: Any) -> Any:
        steps.append(self.step)
        if len(steps) == 111:
            raise KeyboardInterrupt
        return even_step(self, rows)

    monkeypatch.setattr(DebiasTrainer, "_even_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evened(root, base, tmp_path / "even")
    assert not (tmp_path / "even").exists()
    card = evened(root, base, tmp_path / "even")
    assert steps == [*range(111), *range(100, 120)]
    assert card == json.loads((even / "card.json").read_text())


def test_it_is_reproduced_from_its_card(root: Path, base: Path, even: Path, tmp_path: Path) -> None:
    from engines.reproduce import reproduce
    from engines.trained_on import read_record

    card = read_record(even)
    result = reproduce(card, root / "data.csv", base, tmp_path / "again")
    assert result["equal"] is True
    assert json.loads((Path(result["adapter"]) / "card.json").read_text()) == card
    assert list((tmp_path / "again").iterdir()) == [Path(result["adapter"])]


def test_what_cannot_be_evened_out_is_said(root: Path, base: Path, tmp_path: Path) -> None:
    from engines.debias import Debiasing, debias, recipe_for

    with pytest.raises(AdapterError, match="contracts chooses sentences; only classifiers"):
        recipe_for(ADAPTERS / "contracts")
    card = json.loads((root / "moods" / "card.json").read_text())
    student = tmp_path / "student"
    student.mkdir()
    (student / "adapter.safetensors").write_bytes(
        (root / "moods" / "adapter.safetensors").read_bytes()
    )
    (student / "card.json").write_text(json.dumps(card | {"layers": 3}))
    with pytest.raises(AdapterError, match="was distilled: even out its teacher"):
        recipe_for(student)
    other = write_csv(tmp_path / "data.csv", made_texts(100, 5))
    asked = Debiasing(root / "moods", other, recipe_for(root / "moods"), student, tmp_path)
    with pytest.raises(DataError, match=r"data\.csv is not the file that it was trained on"):
        debias(asked, base)


def test_the_command_shows_both_and_makes_no_engine_unasked(
    root: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.base.ensure_base", lambda folder: base)
    monkeypatch.setattr(debias_texts, "TEACHINGS", TEACHINGS)
    options = ["--data", str(root / "data.csv"), "--out", str(tmp_path / "even"), "--no-build"]
    command = ["debias", str(root / "moods"), *options, "--steps", "3", "--json"]
    result = CliRunner().invoke(engines_app, command)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["adapter"] == str(tmp_path / "even")
    assert "gap: origin, by name" in result.stderr
    assert "right: validation" in result.stderr
    missing = CliRunner().invoke(engines_app, ["debias", "nobody", *options])
    assert missing.exit_code == 1
    assert "ADAPTER nobody: neither a folder with adapter.safetensors nor one of" in missing.stderr

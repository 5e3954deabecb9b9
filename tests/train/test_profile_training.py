"""A training profiled for real: its phases, what PyTorch saw in them, and nothing left behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from core.card import read_card, write_card
from engines.cli import engines_app
from engines.phases import PHASES
from engines.profile_record import Profile
from engines.recipe import Recipe
from tests.engines.tiny_summarizer import write_summarizer
from tests.train.test_trainer import LABELS, made_texts, saved


@pytest.fixture(scope="module")
def found(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, str]:
    """The profile and the page of a training of a tiny encoder."""
    folder = tmp_path_factory.mktemp("profiled")
    version = write_summarizer(folder, "mood", "logits")
    recipe = {"epochs": 1, "max_tokens": 32, "tokens_per_batch": 512, "patience": 3}
    card = read_card(version).model_copy(update={"training": {"recipe": recipe}})
    write_card(card, version)
    texts = folder / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": t.text}) + "\n" for t in made_texts(200, 3)))
    page = folder / "page.html"
    arguments = ["profile", "mood", "--training", "--repository", str(folder), "--json"]
    arguments += ["--texts", str(texts), "--runs", "6", "--html", str(page), "--threads", "1"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("engines.profile_run.ensure_base", lambda folder: base)
        done = CliRunner().invoke(engines_app, arguments)
    assert done.exit_code == 0, done.stderr
    return Profile.model_validate(json.loads(done.stdout)), page.read_text()


def test_a_step_is_its_phases(found: tuple[Profile, str]) -> None:
    profile, _ = found
    assert profile.what == "step"
    assert [part.name for part in profile.parts] == [*PHASES, "between phases"]
    assert sum(part.ms for part in profile.parts) == pytest.approx(profile.plain_ms)
    assert all(part.ms > 0 for part in profile.parts)
    # Nothing of a training is cheaper than putting ids into an array.
    of = {part.name: part.ms for part in profile.parts}
    assert of["data"] < of["forward"]
    assert profile.rounds >= 3
    assert profile.threads == 1


def test_operators_of_both_directions_are_seen(found: tuple[Profile, str]) -> None:
    profile, _ = found
    names = {total.name for total in profile.operators}
    assert {"aten::addmm", "aten::mm", "aten::native_layer_norm"} & names
    assert any("Backward" in name for name in names)
    assert any(total.name == "aten::copy_" and total.ms > 0 for total in profile.operators)
    assert sum(part.share for part in profile.inside) == pytest.approx(1)
    assert sum(total.share for total in profile.operators) <= 1.0001
    assert profile.gpu is None


def test_the_page_has_phases_above_operators(found: tuple[Profile, str]) -> None:
    profile, page = found
    assert "Where the time of training of mood 1 goes" in page
    assert ">phases</text>" in page
    assert ">operators</text>" in page
    assert "thrown away" in page
    assert f"<td>{profile.operators[0].name}</td>" in page


def test_marks_do_not_change_what_is_learned(base: Path, tmp_path: Path) -> None:
    from engines.trainer import Trainer

    recipe = Recipe(epochs=1, max_tokens=32, learning_rate=5e-3, tokens_per_batch=512)
    marked = []
    for number, name in enumerate(("plain", "marked")):
        trainer = Trainer(base, LABELS, recipe, tmp_path / name)
        if number:
            from torch.profiler import record_function

            trainer.mark = record_function
        trainer.run(made_texts(100, 1), {})
        marked.append(saved(trainer, tmp_path / f"{name}.safetensors"))
    plain, other = marked
    assert all(np.array_equal(plain[name], other[name]) for name in plain)

"""A search on data made here: the default first, pruning, a killed run that goes on, a verdict."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engines.cli import engines_app
from engines.data import LabelledText
from engines.errors import DataError, EngineError
from tests.train.test_trainer import LABELS, made_texts

pytest.importorskip("optuna", reason="the training side is not installed")
pytest.importorskip("torch", reason="the training side is not installed")


def search_data(texts: int = 400) -> Any:
    from engines.search import SearchData

    train, unseen = made_texts(texts, 1), made_texts(200, 2)
    return SearchData("mood", LABELS, train, {"unseen": unseen}, {"mood": "1"})


def default() -> Any:
    from engines.recipe import Recipe

    return Recipe(epochs=3, max_tokens=32, learning_rate=2e-3, tokens_per_batch=512)


def searched(base: Path, work: Path, trials: int, texts: int = 300) -> dict[str, Any]:
    from engines.search import Search, search

    return search(search_data(), default(), base, work, Search(trials, texts))


@pytest.fixture(scope="module")
def found(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a study of twelve trials found."""
    return searched(base, tmp_path_factory.mktemp("study"), 12)


def test_the_default_is_tried_first_and_in_full(found: dict[str, Any]) -> None:
    first = found["trials"][0]
    assert first == found["default"]
    assert first["params"] == {"rank": 16, "alpha": 32, "learning_rate": 2e-3, "epochs": 3}
    assert list(first["epochs"]) == ["1", "2", "3"]
    assert first["value"] == first["epochs"]["3"]


def test_trials_that_fall_behind_are_pruned(found: dict[str, Any]) -> None:
    assert found["finished"] == len(found["trials"]) == 12
    pruned = [trial for trial in found["trials"] if trial["state"] == "pruned"]
    assert len(pruned) == found["pruned"] > 0
    for trial in pruned:
        assert len(trial["epochs"]) < trial["params"]["epochs"]
        assert trial["number"] >= 5
    assert found["best"]["value"] >= found["default"]["value"]


def test_the_recipe_to_train_with_differs_in_the_four_values_alone(found: dict[str, Any]) -> None:
    from dataclasses import asdict

    changed = {key for key, value in asdict(default()).items() if found["recipe"][key] != value}
    assert changed <= {"rank", "alpha", "learning_rate", "epochs"}
    assert {key: found["recipe"][key] for key in found["best"]["params"]} == found["best"]["params"]


def test_the_chart_shows_every_trial(found: dict[str, Any], tmp_path: Path) -> None:
    from engines.search_report import write_chart

    for name in ("one.svg", "other.svg"):
        write_chart(found, tmp_path / name)
    drawing = (tmp_path / "one.svg").read_text()
    assert f"12 trials, {found['pruned']} pruned" in drawing
    assert drawing.count("<use") >= 12 * 5
    assert drawing == (tmp_path / "other.svg").read_text()


def test_a_chart_that_cannot_be_written_is_said_before_training(tmp_path: Path) -> None:
    from engines.search_report import check_chart

    with pytest.raises(EngineError, match=r"must end in \.svg"):
        check_chart(tmp_path / "trials.txt")
    with pytest.raises(EngineError, match="no folder"):
        check_chart(tmp_path / "nowhere/trials.svg")


def test_a_study_goes_on_and_counts_earlier_trials(base: Path, tmp_path: Path) -> None:
    searched(base, tmp_path, 2)
    whole = searched(base, tmp_path, 4)
    assert whole["finished"] == 4
    assert len({json.dumps(trial["params"]) for trial in whole["trials"]}) == 4
    assert searched(base, tmp_path, 4) == whole


KILLED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.train.test_search import searched
searched(Path(sys.argv[1]), Path(sys.argv[2]), 4)
"""


def test_a_killed_run_tries_its_trial_again(base: Path, tmp_path: Path) -> None:
    import optuna

    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(base), str(tmp_path)]
    process = subprocess.Popen(command, env=environment, cwd=root)
    try:
        checkpoints = tmp_path / "mood"
        deadline = time.monotonic() + 600
        while not list(checkpoints.glob("*/checkpoint.pt")):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    study = optuna.load_study(study_name="mood", storage=f"sqlite:///{tmp_path / 'mood.db'}")
    unfinished = [trial for trial in study.trials if trial.state.name == "RUNNING"]
    assert len(unfinished) == 1
    whole = searched(base, tmp_path, 4)
    again = [trial for trial in whole["trials"] if trial["params"] == unfinished[0].params]
    assert len(again) == 1
    assert whole["finished"] == 4
    assert whole["default"]["params"] == {
        "rank": 16, "alpha": 32, "learning_rate": 2e-3, "epochs": 3
    }  # fmt: skip
    assert not list(checkpoints.glob("*/checkpoint.pt"))


def test_other_data_or_settings_are_refused(base: Path, tmp_path: Path) -> None:
    searched(base, tmp_path, 1)
    with pytest.raises(EngineError, match="another texts"):
        searched(base, tmp_path, 2, texts=200)


def test_two_searches_do_not_share_a_study(base: Path, tmp_path: Path) -> None:
    from engines.study import opened_study

    with (
        opened_study(tmp_path / "mood.db", {"seed": 1}, {}),
        pytest.raises(EngineError, match="another search has the study"),
        opened_study(tmp_path / "mood.db", {"seed": 1}, {}),
    ):
        pass


def test_a_file_that_is_no_study_is_refused(base: Path, tmp_path: Path) -> None:
    (tmp_path / "mood.db").write_text("not a database, but long enough to look at\n" * 40)
    with pytest.raises(EngineError, match=r"mood\.db cannot be read or written"):
        searched(base, tmp_path, 1)


def test_too_few_texts_are_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="50 training texts are too few"):
        searched(base, tmp_path, 1, texts=50)
    assert not (tmp_path / "mood.db").exists()


def test_a_verdict_tells_a_lead_from_chance() -> None:
    import numpy as np

    from engines.confirm import compared, in_words

    default_right = np.array([True] * 850 + [False] * 150)
    better = np.array([True] * 840 + [False] * 10 + [True] * 60 + [False] * 90)
    found = compared(default_right, better)
    assert (found["only_best_right"], found["only_default_right"]) == (60, 10)
    assert found["difference"] == pytest.approx(0.05)
    assert 0.03 < found["interval"][0] < 0.05 < found["interval"][1] < 0.07
    assert found["p"] < 1e-8
    assert in_words(found).endswith("better")
    alike = compared(default_right, np.roll(default_right, 3))
    assert alike["p"] == 1
    assert "beyond chance" in in_words(alike)


def write(path: Path, texts: list[LabelledText]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        for item in texts:
            file.write(json.dumps({"text": item.text, "label": LABELS[item.label]}) + "\n")
    return path


def test_the_command_searches_a_data_set_and_confirms(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.search_run.ensure_base", lambda folder: base)
    data = write(tmp_path / "mood.jsonl.gz", made_texts(600, 1))
    unseen = write(tmp_path / "unseen.jsonl.gz", made_texts(300, 7))
    arguments = ["search", "mood", "--data", str(data), "--trials", "3", "--texts", "200"]
    arguments += ["--work", str(tmp_path / "work"), "--chart", str(tmp_path / "trials.svg")]
    arguments += ["--confirm", str(unseen), "--json"]
    result = CliRunner().invoke(engines_app, arguments)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["finished"] == 3
    assert (tmp_path / "trials.svg").stat().st_size > 1000
    if found["best"] != found["default"]:
        assert found["confirmed"]["training_texts"] > 200
        assert 0 < found["confirmed"]["texts"] <= 300
    assert "trial 2:" in result.stderr


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("mood", "nowhere.jsonl", "nowhere.jsonl"),
        ("../mood", "mood.jsonl.gz", "cannot be a study's name"),
        ("topics", ".", r"topics/train.jsonl.gz"),
    ],
)
def test_what_cannot_be_searched_is_said(tmp_path: Path, name: str, data: str, says: str) -> None:
    write(tmp_path / "mood.jsonl.gz", made_texts(100, 1))
    arguments = ["search", name, "--data", str(tmp_path / data), "--work", str(tmp_path / "work")]
    result = CliRunner().invoke(engines_app, arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert not (tmp_path / "work").exists()

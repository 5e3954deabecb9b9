"""A team's data set to an adapter: read, trained, calibrated, written, and gone on with."""

from __future__ import annotations

import csv
import json
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from engines.base import CACHE, SHA256
from engines.checksums import file_sha256
from engines.cli import engines_app
from engines.data import LabelledText
from engines.errors import DataError, EngineError
from engines.merge import ADAPTER_FILE, CARD_FILE, read_adapter
from engines.recipe import Recipe
from tests.train.test_trainer import made_texts

LABELS = ("negative", "positive")
RECIPE = Recipe(epochs=3, max_tokens=32, learning_rate=5e-3, tokens_per_batch=512, patience=2)
fetched = pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)


def write_csv(path: Path, texts: list[LabelledText]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for index, item in enumerate(texts):
            # Numbered, since a text that comes twice is dropped.
            writer.writerow([f"{item.text} {index}", LABELS[item.label]])
    return path


def noisy(count: int, seed: int, share: float) -> list[LabelledText]:
    """Texts of which a share has the other label."""
    texts = made_texts(count, seed)
    wrong = np.random.default_rng(seed).random(count) < share
    return [LabelledText(t.text, t.label ^ int(w)) for t, w in zip(texts, wrong, strict=True)]


def asked_for(data: Path, tmp_path: Path, **changes: Any) -> Any:
    from engines.finetuning import FineTuning, Reading

    recipe = replace(RECIPE, **changes)
    return FineTuning("mood", data, Reading(), recipe, tmp_path / "mood", tmp_path / "work")


def finetune(asked: Any, base: Path, told: Any = lambda line: None) -> dict[str, Any]:
    from engines.finetuning import finetune_on, read_data

    return finetune_on(read_data(asked), asked, base, told)


def test_the_card_says_what_went_in_and_what_came_out(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "notes"
    write_csv(data / "train.csv", made_texts(600, 1))
    write_csv(data / "test.csv", made_texts(100, 2))
    card = finetune(asked_for(data, tmp_path), base)
    out = tmp_path / "mood"
    assert json.loads((out / CARD_FILE).read_text(encoding="utf-8")) == card
    assert {path.name for path in out.iterdir()} == {ADAPTER_FILE, CARD_FILE}
    assert read_adapter(out, file_sha256(base / "model.safetensors"), LABELS).scale == 2.0
    assert Recipe(**card["recipe"]) == RECIPE
    sums = {name: file_sha256(data / name) for name in ("train.csv", "test.csv")}
    assert card["data"] == {"notes": sums}
    assert card["texts"] == {"train": 540, "validation": 60, "test": 100}
    assert card["figures"]["test"]["accuracy"] > 0.9
    assert any("60 of 600 training texts held back" in note for note in card["notes"])
    best = max(card["history"], key=lambda each: (each["macro_f1"], -each["validation_loss"]))
    assert card["kept_epoch"] == best["epoch"]
    assert not list((tmp_path / "work").iterdir())


def test_scores_are_calibrated_in_the_head_that_is_written(base: Path, tmp_path: Path) -> None:
    from engines.finetuning import read_data
    from engines.temperature import mean_nll
    from engines.trainer import Trainer

    # Smoothed labels leave a network that is right less sure than it should be.
    data = write_csv(tmp_path / "notes.csv", noisy(1200, 1, 0.02))
    asked = asked_for(data, tmp_path, label_smoothing=0.3)
    card = finetune(asked, base)
    fitted = card["calibration"]
    assert fitted["temperature"] < 0.9
    assert fitted["nll_after"] < fitted["nll_before"]
    assert fitted["error_after"] < fitted["error_before"]

    dataset = read_data(asked)
    as_trained = Trainer(base, LABELS, asked.recipe, tmp_path / "plain")
    as_trained.run(dataset.train, {"validation": dataset.validation})
    adapter = read_adapter(tmp_path / "mood", card["base_sha256"], LABELS)
    head = as_trained.average["head.weight"].numpy()
    assert np.allclose(adapter.head_weight * fitted["temperature"], head, atol=1e-3)
    unseen = noisy(400, 2, 0.02)
    logits = as_trained.logits([item.text for item in unseen])
    right = np.array([item.label for item in unseen])
    calibrated = (logits / fitted["temperature"]).astype(np.float32)
    assert mean_nll(calibrated, right) < mean_nll(logits, right)
    assert (calibrated.argmax(1) == logits.argmax(1)).all()


def test_equal_runs_give_equal_adapters_and_a_second_one_is_not_needed(
    base: Path, tmp_path: Path
) -> None:
    data = write_csv(tmp_path / "notes.csv", made_texts(300, 1))
    asked = asked_for(data, tmp_path)
    card = finetune(asked, base)
    written = (tmp_path / "mood" / ADAPTER_FILE).stat().st_mtime_ns
    told: list[str] = []
    assert finetune(asked, base, told.append) == card
    assert (tmp_path / "mood" / ADAPTER_FILE).stat().st_mtime_ns == written
    assert "has this adapter already" in told[0]
    elsewhere = finetune(replace(asked, out=tmp_path / "again"), base)
    assert elsewhere == card
    other = finetune(asked_for(data, tmp_path, seed=51), base)
    assert other["adapter_sha256"] != card["adapter_sha256"]


def test_an_interrupted_run_goes_on(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines import finetuning

    data = write_csv(tmp_path / "notes.csv", made_texts(300, 1))
    asked = asked_for(data, tmp_path)
    whole = finetune(replace(asked, out=tmp_path / "whole", work=tmp_path / "other"), base)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "calibrate", killed)
        with pytest.raises(KeyboardInterrupt):
            finetune(asked, base)
    assert not (tmp_path / "mood").exists()
    (kept,) = (tmp_path / "work").iterdir()
    before = (kept / "checkpoint.pt").stat().st_mtime_ns
    # Other settings begin a training of their own.
    finetune(asked_for(data, tmp_path, epochs=1), base)
    assert (kept / "checkpoint.pt").stat().st_mtime_ns == before
    assert finetune(asked, base) == whole


def test_a_full_disk_leaves_the_adapter_that_was_there(base: Path, tmp_path: Path) -> None:
    data = write_csv(tmp_path / "notes.csv", made_texts(300, 1))
    finetune(asked_for(data, tmp_path, epochs=1), base)
    before = (tmp_path / "mood" / ADAPTER_FILE).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(EngineError, match="is the disk full"):
            finetune(asked_for(data, tmp_path, epochs=1, seed=51), base)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "mood" / ADAPTER_FILE).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"mood", "notes.csv", "work"}


def test_a_wrong_column_leaves_nothing(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "notes.csv"
    data.write_text("body,label\nx,yes\n")
    with pytest.raises(DataError, match="those there are body, label"):
        finetune(asked_for(data, tmp_path), base)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.csv"]


def run_command(*arguments: str) -> Any:
    return CliRunner().invoke(engines_app, ["finetune", *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("topics",), "topics is one of the default models"),
        (("two words",), "the name 'two words'"),
        (("mine", "--method", "adapter"), "'adapter' is not one of lora, full, qlora"),
        (("mine", "--learning-rate", "3"), "--learning-rate is 3; it must be between"),
        (("mine",), "no data at nowhere"),
        (("mine", "--method", "qlora"), "--method qlora needs"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="the training side is not installed")
    if "qlora" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    result = run_command(*arguments, "--data", "nowhere")
    assert result.exit_code == 1
    assert said in result.stderr
    assert list(tmp_path.iterdir()) == []


@fetched
def test_a_csv_becomes_an_engine_and_a_candidate(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    data = write_csv(tmp_path / "notes.csv", made_texts(100, 1))
    repository, out = tmp_path / "repository", tmp_path / "mood"
    options = ["--data", str(data), "--out", str(out), "--base", str(CACHE), "--max-tokens", "32"]
    options += ["--repository", str(repository), "--threads", "1", "--epochs", "1", "--json"]
    result = run_command("mood", *options, "--rank", "4")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["engine"]["labels"] == list(LABELS)
    assert answer["engine"]["gate"]["passed"]
    assert answer["engine"]["training"]["recipe"]["rank"] == 4
    assert answer["version"] == str(repository / "mood" / "1")
    assert "--model mood" in result.stderr

    again = json.loads(run_command("mood", *options, "--rank", "4").stdout)
    assert again["version"] == answer["version"]
    candidate = run_command("mood", *options, "--rank", "4", "--seed", "51")
    assert json.loads(candidate.stdout)["version"] == str(out / "2")
    assert f"sub50 engines promote mood {out / '2'}" in candidate.stderr

    shutil.copytree(out / "2", repository / "mood" / "2")
    promoted = run_command("mood", *options, "--rank", "4", "--seed", "51")
    assert json.loads(promoted.stdout)["version"] == str(repository / "mood" / "2")
    assert "another version" not in promoted.stderr

    even = tmp_path / "even"
    options = ["--data", str(data), "--out", str(even), "--base", str(CACHE), "--threads", "1"]
    options += ["--repository", str(repository), "--steps", "1", "--json"]
    evened = CliRunner().invoke(engines_app, ["debias", str(out), *options])
    assert evened.exit_code == 0, evened.stderr
    assert json.loads(evened.stdout)["version"] == str(even / "3")
    assert f"sub50 engines promote mood {even / '3'}" in evened.stderr

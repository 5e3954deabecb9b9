"""The whole command on the real base: from a teacher's folder to engines, a table and a curve."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engines.base import CACHE, SHA256
from engines.checksums import file_sha256
from engines.cli import engines_app
from engines.merge import ADAPTER_FILE, ADAPTERS, CARD_FILE
from tests.train.test_trainer import made_texts

LABELS = ["negative", "positive"]
SPLITS = {"train": 240, "validation": 40, "test": 60}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    seen: set[str] = set()
    for seed, (split, count) in enumerate(SPLITS.items()):
        texts = [item for item in made_texts(3 * count, seed) if len(item.text.split()) > 5]
        fresh = [item for item in texts if item.text not in seen][:count]
        seen |= {item.text for item in fresh}
        with gzip.open(folder / f"{split}.jsonl.gz", "wt", encoding="utf-8") as file:
            for item in fresh:
                file.write(json.dumps({"text": item.text, "label": LABELS[item.label]}) + "\n")
    return folder


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed adapter for reviews, which these words are easy for, as a team's own."""
    folder = tmp_path_factory.mktemp("adapters") / "mood"
    shutil.copytree(ADAPTERS / "sentiment", folder)
    card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    (folder / CARD_FILE).write_text(json.dumps({**card, "task": "mood"}), encoding="utf-8")
    return folder


@pytest.mark.skipif(
    not all((CACHE / name).is_file() for name in SHA256),
    reason="the base encoder has not been fetched",
)
def test_a_teacher_becomes_engines_of_fewer_layers(
    teacher: Path, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = ["distill", "mood", "--teacher", str(teacher), "--layers", "1", "--data", str(data)]
    command += ["--epochs", "2", "--alpha", "0.1", "--learning-rate", "1e-3", "--out", str(out)]
    command += ["--base", str(CACHE), "--threads", "1", "--json"]
    ended = CliRunner().invoke(engines_app, command)
    assert ended.exit_code == 0, ended.output
    report = json.loads(ended.stdout)
    assert report == json.loads((out / "report.json").read_text())
    assert report["teacher_answers_computed"] == SPLITS["train"]
    (student,) = report["students"]
    assert (student["layers"], student["refused"]) == (1, None)
    (judged,) = student["accuracy"]
    (before,) = report["teacher"]["accuracy"]
    # So few of either that both count.
    rows = SPLITS["test"] + SPLITS["validation"]
    assert (judged["data"], judged["rows"]) == ("validation and test", rows)
    assert judged["accuracy"] > 0.9
    apart = 100 * (judged["accuracy"] - before["accuracy"])
    assert judged["points_from_teacher"] == pytest.approx(apart)
    assert student["engine_bytes"] < report["teacher"]["engine_bytes"]
    for speed in student["speed"]:
        assert speed["times_teacher"] > 1
    assert "<svg" in (out / "curve.svg").read_text()
    card = json.loads((out / "layers-1" / "1" / "card.json").read_text())
    assert card["name"] == "mood"
    assert card["training"]["teacher_layers_kept"] == [5]
    assert card["training"]["teacher_sha256"] == file_sha256(teacher / ADAPTER_FILE)

    engine = out / "layers-1" / "1" / "model.onnx"
    made_at = engine.stat().st_mtime_ns
    again = CliRunner().invoke(engines_app, command)
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["teacher_answers_computed"] == 0
    assert engine.stat().st_mtime_ns == made_at


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--layers", "6"], "--layers 6: the teacher has 6 layers"),
        (["--layers", "one"], "--layers one: name numbers"),
        (["--teacher", "nobody"], "--teacher nobody: neither a folder"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    teacher: Path, data: Path, tmp_path: Path, changes: list[str], message: str
) -> None:
    pytest.importorskip("torch", reason="the training side is not installed")
    out = tmp_path / "out"
    command = ["distill", "mood", "--teacher", str(teacher), "--layers", "1", "--data", str(data)]
    ended = CliRunner().invoke(engines_app, [*command, "--out", str(out), *changes])
    assert ended.exit_code == 1
    assert message in ended.stderr
    assert not out.exists()

"""`sub50 engines tune` of imported engines whose checkpoint is gone, of each kind of problem."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE, Accuracy, EngineCard, read_card, write_card
from engines.catalog import spec_of
from engines.cli import engines_app
from engines.graph import classifier_graph
from engines.measure import open_session
from engines.model_config import CONFIG_FILE, is_tuned, read_config, untuned_text, write_model_files
from engines.runtimes import has_openvino
from engines.tune_reference import judge_of
from engines.tune_subject import subjects
from tests.engines.tiny_encoder import LABELS, SHAPE, tiny_head, tiny_weights
from tests.tiny import card, write_version

NAMES = ("low", "middle", "high")[:LABELS]
QUICK = ("--seconds", "0.1", "--lengths", "20:0.5,300:0.5")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Eighty labelled texts, of which sixty judge; gating with them takes less than with ours."""
    path = tmp_path / "rows.jsonl"
    texts = [f"the film {'good ' * (n % 9)}{'bad ' * (n % 7)}{n}." for n in range(80)]
    path.write_text("".join(json.dumps({"text": t, "label": NAMES[0]}) + "\n" for t in texts))
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "models"


def import_tiny(repository: Path, **changes: Any) -> EngineCard:
    """An imported model, `mine`, of a checkpoint that is there no more."""
    gone = str(repository.parent / "gone")
    imported = {"architecture": "Bert", "files": {"config.json": "0"}}
    fields: dict[str, Any] = {"labels": list(NAMES), "precision": "INT8", "base": gone}
    made = card("mine", imported=imported, **fields | changes)
    head_weight, head_bias = tiny_head()
    width = len(made.labels)
    graph = classifier_graph(tiny_weights(), SHAPE, head_weight[:width], head_bias[:width])
    version = repository / "mine" / "1"
    write_version(version, made, engine=graph.SerializeToString())
    write_model_files(spec_of(made), repository)
    (repository / "mine" / CONFIG_FILE).write_text(untuned_text(made))
    return read_card(version)


def tune(repository: Path, *arguments: str) -> Any:
    """What the command prints as JSON."""
    ended = CliRunner().invoke(
        engines_app, ["tune", "mine", *arguments, "--repository", str(repository), "--json"]
    )
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def refusal(repository: Path, *arguments: str) -> str:
    command = ["tune", "mine", *arguments, "--repository", str(repository)]
    ended = CliRunner().invoke(engines_app, command)
    assert ended.exit_code == 1, ended.output
    return ended.stderr


def pairs(tuned: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["backend"], each["precision"]) for each in tuned["candidates"]}


def test_fp32_is_left_out_and_said_and_the_rest_is_tuned(repository: Path, data: Path) -> None:
    before = import_tiny(repository, max_tokens=128)
    untuned = (repository / "mine" / CONFIG_FILE).read_bytes()
    assert untuned.startswith(b"# Written by `sub50 engines import`")
    (tuned,) = tune(repository, *QUICK, "--data", str(data))
    (line,) = tuned["left_out"]
    assert line.startswith("FP32 and BF16 are left out, which take the unquantized graph: ")
    assert before.base in line
    expected = {("onnxruntime", "INT8")} | ({("openvino", "INT8")} if has_openvino() else set())
    assert pairs(tuned) == expected
    assert all(each["gate"]["passed"] for each in tuned["candidates"])
    assert tuned["lengths"] == "20:0.5,128:0.5"
    found = read_card(repository / "mine" / "1")
    assert found.tuning is not None
    assert (found.tuning.backend, found.tuning.engine_file) == (found.backend, ENGINE_FILE)
    config = read_config(repository / "mine" / CONFIG_FILE)
    assert config.backend == tuned["winner"]["backend"]
    # What was measured of the INT8 engine, and where it came from, stays.
    changed = {"backend", "precision", "tuning"}
    assert found.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    assert tune(repository, "--reset") == [{"model": "mine", "winner": None}]
    assert (repository / "mine" / CONFIG_FILE).read_bytes() == untuned
    assert read_card(repository / "mine" / "1") == before


def test_what_cannot_be_measured_is_an_error_with_the_reason(repository: Path) -> None:
    before = import_tiny(repository)
    said = refusal(repository, *QUICK, "--precision", "fp32")
    assert before.base in said
    assert "measure it against" in said
    assert not is_tuned(repository / "mine" / CONFIG_FILE)


def lost_by_int8(data: str, share: float) -> Accuracy:
    """What a card says of a data set on which INT8 cost so much accuracy."""
    return Accuracy(
        data=data, rows=60, accuracy=0.5, macro_f1=0.5,
        reference_accuracy=0.5 + share, reference_macro_f1=0.5,
    )  # fmt: skip


def change_card(repository: Path, **changes: Any) -> None:
    version = repository / "mine" / "1"
    write_card(read_card(version).model_copy(update=changes), version)


def test_the_limits_hold_for_what_int8_and_a_candidate_change_together(
    repository: Path, data: Path
) -> None:
    """Of a candidate that answers as the engine itself does, what the card says counts alone."""
    found = import_tiny(repository)
    options = (*QUICK, "--runtime", "onnxruntime", "--dry-run", "--data", str(data))
    change_card(repository, accuracy=[lost_by_int8("rows.jsonl", 0.015)])
    said = refusal(repository, *options)
    assert "the gate refuses every candidate" in said
    assert "accuracy on rows.jsonl drops by 1.5 points" in said
    mild = {"accuracy": [lost_by_int8("rows.jsonl", 0.005)]}
    change_card(repository, drift=found.drift.model_copy(update={"mean_change": 0.051}), **mild)
    assert "change by 0.0510 on average" in refusal(repository, *options)
    change_card(repository, drift=found.drift.model_copy(update={"mean_change": 0.049}))
    (subject,) = subjects(["mine"], repository, data)
    engine = open_session(subject.folder / ENGINE_FILE)
    assert judge_of(subject, subject.folder).examine(engine).verdict.passed


@pytest.mark.parametrize("kind", ["multi_label", "regression"])
def test_answers_are_read_as_the_card_says(repository: Path, data: Path, kind: str) -> None:
    labels = ["stars"] if kind == "regression" else list(NAMES)
    import_tiny(repository, problem_type=kind, labels=labels)
    (subject,) = subjects(["mine"], repository, data)
    engine = open_session(subject.folder / ENGINE_FILE)
    weight, bias = (part[: len(labels)] for part in tiny_head(9))
    other = open_session(classifier_graph(tiny_weights(9), SHAPE, weight, bias))
    judge = subject.judge(engine)
    same = judge.examine(engine)
    assert same.verdict.passed
    # Each label of each text is a decision; a value is neither right nor wrong.
    assert [each.rows for each in same.accuracy] == ([60] if kind == "multi_label" else [])
    assert "against the unquantized graph" in judge.examine(other).verdict.reasons[0]

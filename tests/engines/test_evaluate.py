"""`sub50 engines evaluate` from the command line: record and page, one engine and two."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE, read_card, write_card
from engines.base import CACHE, SHA256
from engines.evaluated_engine import open_for_evaluation
from engines.evaluation_record import EvaluationReport
from engines.model_config import REPOSITORY
from engines.texts import probe_texts
from engines.unquantized import write_twin
from service.cli import app
from tests.engines.tiny_summarizer import write_data, write_summarizer
from tests.engines.word_engine import write_word_engine

runner = CliRunner()
WEIGHTS = {"good": (0.0, 2.0), "bad": (2.0, 0.0)}
# Three of four are right: an engine that knows no film calls it negative, on a tie.
ROWS = [("good", "positive"), ("bad", "negative"), ("good good", "positive"), ("film", "positive")]
FILES = {"evaluation.html", "evaluation.json"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a model; the second knows the word film."""
    repository = tmp_path_factory.mktemp("repository")
    write_word_engine(repository / "tiny" / "1", WEIGHTS)
    write_word_engine(repository / "tiny" / "2", WEIGHTS | {"film": (0.0, 1.0)})
    return repository


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "labelled.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS * 10))
    return path


def evaluate(repository: Path, engine: str, report: Path, *options: str) -> tuple[int, str, str]:
    arguments = ["engines", "evaluate", engine, "--repository", str(repository), "--json"]
    arguments += ["--report", str(report), "--seconds", "0.1", *options]
    done = runner.invoke(app, arguments)
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def alone(
    repository: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], str]:
    """The record and the page of one engine."""
    report = tmp_path_factory.mktemp("report") / "deep" / "one"
    options = ("--data", str(data), "--price-per-hour", "0.1", "--currency", "EUR")
    code, output, errors = evaluate(repository, "tiny@1", report, *options)
    assert code == 0, errors
    assert {path.name for path in report.iterdir()} == FILES
    record = json.loads((report / "evaluation.json").read_text())
    assert record == json.loads(output)
    return record, (report / "evaluation.html").read_text()


def test_the_record_has_what_was_worked_out(alone: tuple[dict[str, Any], str]) -> None:
    record = EvaluationReport.model_validate(alone[0])
    engine = record.engine
    assert (engine.name, engine.version, engine.labels) == ("tiny", "1", ["negative", "positive"])
    assert (record.against, record.agreement, engine.changed_files) == (None, [], [])
    (quality,) = engine.quality
    assert (quality.data, quality.rows, quality.accuracy) == ("labelled.csv", 40, 0.75)
    assert quality.confusion == [[10, 0], [10, 20]]
    # Negative: 10 right, 20 given; positive: 20 right of 30, 20 given.
    assert [each.f1 for each in quality.labels] == pytest.approx([2 / 3, 0.8])
    assert quality.macro_f1 == pytest.approx((2 / 3 + 0.8) / 2)
    assert sum(each.rows for each in quality.calibration.bins) == 40
    # Names are letters to this tokenizer, and weigh nothing.
    assert (engine.fairness.gap, engine.fairness.within_target) == (0, True)
    assert engine.robustness[0].accuracy == 0.75
    assert engine.speed.cost is not None
    assert engine.speed.cost.currency == "EUR"


def test_the_page_holds_the_figures(alone: tuple[dict[str, Any], str]) -> None:
    record, page = alone
    assert "Evaluation of tiny 1" in page
    assert "fairness gap 0.000, within the target 0.02" in page
    assert "75.0 % of 40 right" in page
    assert "<td>0.733</td>" in page  # macro F1
    assert f"{record['engine']['speed']['calls'][0]['p50_ms']:.1f}" in page
    assert "EUR" in page
    for perturbed in record["engine"]["robustness"][0]["perturbations"]:
        assert f"<td>{perturbed['name']}</td>" in page
    assert page.count("<svg") == 8  # reliability, confusion, robustness, four of fairness, speed
    assert "<script" not in page
    references = [*re.findall(r'href="#([^"]+)"', page), *re.findall(r"url\(#([^)]+)\)", page)]
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert set(references) <= set(identifiers)
    assert len(set(identifiers)) == len(identifiers)


def test_two_engines_stand_side_by_side(repository: Path, data: Path, tmp_path: Path) -> None:
    options = ("--data", str(data), "--against", "tiny@1")
    code, output, errors = evaluate(repository, "tiny", tmp_path, *options)
    assert code == 0, errors
    record = EvaluationReport.model_validate(json.loads(output))
    assert record.against is not None
    assert (record.engine.version, record.against.version) == ("2", "1")
    assert record.engine.quality[0].accuracy == 1.0
    (found,) = record.agreement
    assert (found.labels_differ, found.only_engine_right, found.only_against_right) == (10, 10, 0)
    assert found.p_value == pytest.approx(2 / 2**10)
    page = (tmp_path / "evaluation.html").read_text()
    assert "<td>100.0 %</td><td>75.0 %</td><td>+25.0 points</td>" in page
    assert "<td>film</td><td>positive</td><td>positive</td><td>negative</td>" in page
    assert "labelled.csv: 10 of 40 labels differ" in errors


def test_without_data_the_texts_are_ours(repository: Path, tmp_path: Path) -> None:
    """An engine that counts words with a `w` in front, under another file's card."""
    version = write_word_engine(tmp_path / "tiny" / "3", {"w": (0.0, 2.0)})
    write_card(read_card(version).model_copy(update={"engine_sha256": "0" * 64}), version)
    report = tmp_path / "report"
    options = ("--against", "tiny@1", "--require-fair")
    code, output, errors = evaluate(repository, str(version), report, *options)
    record = EvaluationReport.model_validate(json.loads(output))
    assert record.engine.quality == []
    assert record.engine.robustness[0].accuracy is None
    assert record.agreement[0].data == "texts of this project"
    # "my wife" and "this woman" are among the ten words that stand for women, and none for men.
    assert record.engine.fairness.gap > record.engine.fairness.target == 0.02
    assert code == 1
    assert "over the target 0.02" in errors
    assert record.engine.changed_files == [ENGINE_FILE]
    assert "model.onnx of tiny 3 is not the file that its card was made for" in errors
    assert 'class="banner fail"' in (report / "evaluation.html").read_text()


def test_what_is_wrong_is_named_and_nothing_is_written(
    repository: Path, data: Path, tmp_path: Path
) -> None:
    other = write_word_engine(tmp_path / "other" / "1", WEIGHTS, labels=["bad", "good"])
    summarizer = write_word_engine(tmp_path / "sums" / "1", WEIGHTS, task="summarize")
    summed = ("--data", str(tmp_path), "--require-fair")
    short = tmp_path / "short.csv"
    short.write_text("text,label\ngood,positive\n")
    report = tmp_path / "report"
    for engine, options, said in (
        ("nonsense", (), "no engine nonsense"),
        ("tiny@9", (), "versions there: 1, 2"),
        (str(tmp_path / "none"), (), "not a version folder"),
        ("tiny", ("--against", str(other)), "one answers negative, positive, the other bad, good"),
        ("tiny@2", ("--against", "tiny"), "that is the same engine"),
        ("tiny", ("--against", "fp32"), "not one of the default models"),
        (str(summarizer), (), "name texts with marked passages or summaries with --data"),
        (str(summarizer), summed, "--against fp32 are for classifiers"),
        ("tiny", ("--against", str(summarizer)), "task classify and summarize"),
        ("tiny", ("--data", str(short)), "at least 20 are needed"),
        ("tiny", ("--data", str(tmp_path / "no.csv")), "no data file"),
    ):
        code, _, errors = evaluate(repository, engine, report, *options)
        assert (code, said in errors) == (1, True), errors
        assert "Traceback" not in errors
    assert not report.exists()


def test_summarizers_are_measured_by_their_summaries(tmp_path: Path) -> None:
    version = write_summarizer(tmp_path, "marks", output="logits")
    data, report = write_data(tmp_path / "data"), tmp_path / "report"
    code, output, errors = evaluate(tmp_path, str(version), report, "--data", str(data))
    assert code == 0, errors
    record = json.loads(output)
    assert record == json.loads((report / "evaluation.json").read_text())
    assert record["marked"]["documents"] == 4
    page = (report / "evaluation.html").read_text()
    assert "Evaluation of marks" in page
    assert "Marked passages kept" in page
    share = record["marked"]["rankings"]["marks"]["share"]
    assert f"marks touches {100 * share:.1f} % of the passages" in page
    assert f"marks touches {100 * share:.1f} % of the passages" in errors


def test_a_report_stays_out_of_the_models(repository: Path, tmp_path: Path) -> None:
    (repository / "tiny" / "config.pbtxt").write_text('name: "tiny"\n')
    for inside in ("tiny/1", "tiny/1/report", "tiny"):
        code, _, errors = evaluate(repository, "tiny", repository / inside)
        assert (code, "lies inside a model" in errors) == (1, True)
    (tmp_path / "file").write_text("")
    code, _, errors = evaluate(repository, "tiny", tmp_path / "file")
    assert (code, "is no folder that can be written to" in errors) == (1, True)


@pytest.mark.skipif(
    not (
        (REPOSITORY / "sentiment" / "1" / ENGINE_FILE).is_file()
        and all((CACHE / name).is_file() for name in SHA256)
    ),
    reason="no engine has been built",
)
def test_a_default_engine_has_an_unquantized_twin(tmp_path: Path) -> None:
    quantized = open_for_evaluation(REPOSITORY / "sentiment" / "1")
    write_twin(quantized.card, tmp_path)
    twin = open_for_evaluation(tmp_path)
    assert (twin.label, twin.candidate.precision) == ("sentiment 1-fp32", "FP32")
    assert twin.engine_file.stat().st_size > 3 * quantized.engine_file.stat().st_size
    texts = probe_texts(8)
    change = np.abs(twin.scores(texts) - quantized.scores(texts))
    assert 0 < change.max() < 0.2

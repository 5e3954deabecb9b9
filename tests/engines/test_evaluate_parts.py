"""The parts of an evaluation that ask an engine: its answers, changed texts, speed, agreement."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from core.card import ENGINE_FILE, Tuning, read_card, write_card
from engines.errors import DataError, EngineError
from engines.evaluate_agreement import MOST_CHARACTERS, agreement, shortened
from engines.evaluated_engine import as_served, open_for_evaluation
from engines.evaluation_data import labelled_texts
from engines.perturbations import PERTURBATIONS
from engines.price import Price
from engines.robustness import measure_robustness, sample
from engines.scores import labels_matrix
from engines.speed import LENGTHS, measure_speed, typical_lengths
from tests.engines.word_engine import write_word_engine
from tests.tiny import card, empty_engine

# Logits: "good" makes positive 2 larger, "bad" negative; "film" alone is a little positive.
WEIGHTS = {"good": (0.0, 2.0), "bad": (2.0, 0.0), "film": (0.0, 0.5)}
TEXTS = ["good", "bad", "a film", "the film , bad"]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_word_engine(tmp_path_factory.mktemp("words") / "tiny" / "1", WEIGHTS)


def test_scores_come_in_the_order_of_the_texts(folder: Path) -> None:
    engine = open_for_evaluation(folder)
    many = TEXTS * 20
    done: list[int] = []
    found = engine.scores(many, done.append)
    expected = [sigmoid(2), sigmoid(-2), sigmoid(0.5), sigmoid(-1.5)] * 20
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-5)
    assert sum(done) == len(many)
    given = engine.labels(found[:4])
    assert given.tolist() == [[False, True], [True, False], [False, True], [True, False]]


def test_labels_can_be_asked_for_in_another_order(folder: Path) -> None:
    plain = open_for_evaluation(folder).scores(TEXTS)
    turned = open_for_evaluation(folder, ("positive", "negative")).scores(TEXTS)
    np.testing.assert_allclose(turned, plain[:, ::-1], atol=1e-6)


def test_several_labels_are_given_over_their_own_thresholds(tmp_path: Path) -> None:
    version = write_word_engine(
        tmp_path / "several" / "1", WEIGHTS, bias=(-1.0, -1.0),
        problem_type="multi_label", thresholds=[0.1, 0.6],
    )  # fmt: skip
    engine = open_for_evaluation(version)
    scores = engine.scores(["good", "a"])
    np.testing.assert_allclose(scores, [[sigmoid(-1), sigmoid(1)], [sigmoid(-1)] * 2], atol=1e-5)
    assert engine.labels(scores).tolist() == [[True, True], [True, False]]
    turned = open_for_evaluation(version, ("positive", "negative"))
    assert turned.labels(turned.scores(["a"])).tolist() == [[False, True]]


def test_an_engine_runs_as_it_is_served() -> None:
    untuned = as_served(card("tiny"))
    assert untuned.engine_file == ENGINE_FILE
    assert untuned.threads >= 1 <= untuned.instances <= 2
    tuning = Tuning(
        backend="openvino", precision="BF16", threads=3, instances=5, engine_file="model.fp32.onnx",
        line_overhead_ms=1, line_ms_per_token=1, machine="", tuned_at="",
    )  # fmt: skip
    tuned = as_served(card("tiny", tuning=tuning))
    assert (tuned.label, tuned.engine_file) == ("openvino BF16 3x5", "model.fp32.onnx")


def test_what_cannot_be_opened_is_named(folder: Path, tmp_path: Path) -> None:
    version = write_word_engine(tmp_path / "broken" / "1", WEIGHTS)
    (version / ENGINE_FILE).write_bytes(empty_engine(b"nothing to run"))
    with pytest.raises(EngineError, match=r"broken/1 cannot be loaded"):
        open_for_evaluation(version)
    write_card(read_card(version).model_copy(update={"task": "summarize"}), version)
    with pytest.raises(EngineError, match="an engine to summarize, not a classifier"):
        open_for_evaluation(version)


def test_changed_texts_cost_what_they_cost(folder: Path) -> None:
    """Half of `good bad bad`, one word of three, is good alone: every label flips."""
    engine = open_for_evaluation(folder)
    texts, expected = ["good bad bad"] * 4, labels_matrix([[0]] * 4, 2)
    by_name = {each.name: each for each in PERTURBATIONS}
    chosen = [by_name["first half"], by_name["upper case"], by_name["lower case"]]
    found = measure_robustness(engine, "ours", texts, expected, perturbations=chosen)
    assert (found.accuracy, found.texts) == (1.0, 4)
    half, upper, lower = found.perturbations
    assert (half.accuracy, half.labels_flipped, half.changed) == (0.0, 1.0, 1.0)
    assert half.mean_change == pytest.approx(sigmoid(2) - sigmoid(-2), abs=1e-5)
    # The tokenizer knows no case.
    assert (upper.accuracy, upper.labels_flipped, upper.changed) == (1.0, 0.0, 1.0)
    assert upper.mean_change == 0
    assert lower.changed == 0
    unlabelled = measure_robustness(engine, "ours", texts, None, perturbations=chosen)
    assert (unlabelled.accuracy, unlabelled.perturbations[0].labels_flipped) == (None, 1.0)


def test_a_regression_moves_in_its_own_spread(tmp_path: Path) -> None:
    version = write_word_engine(
        tmp_path / "value" / "1", {"good": (4.0,)}, bias=(1.0,), problem_type="regression",
        labels=["score"],
    )  # fmt: skip
    engine = open_for_evaluation(version)
    assert engine.scores(["good good", "a"]).tolist() == [[9.0], [1.0]]
    half = next(each for each in PERTURBATIONS if each.name == "first half")
    found = measure_robustness(engine, "ours", ["good good", "a"], None, perturbations=[half])
    # 9 and 1 become 5 and 1: 2 on average, and the values have a spread of 4.
    assert found.perturbations[0].mean_change == pytest.approx(0.5)
    assert found.perturbations[0].labels_flipped is None


def test_a_sample_is_the_same_every_time(folder: Path, tmp_path: Path) -> None:
    data = csv_file(tmp_path, [(f"good {number}", "positive") for number in range(40)])
    (labelled,) = labelled_texts(read_card(folder), data)
    few = sample(labelled, 10)
    assert len(few.texts) == len(few.expected) == 10
    assert few.texts == sample(labelled, 10).texts
    assert sample(labelled, 100) is labelled


def csv_file(folder: Path, rows: list[tuple[str, object]]) -> Path:
    path = folder / "data.csv"
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows))
    return path


def test_the_labels_of_a_regression_are_numbers(tmp_path: Path) -> None:
    values = card("value", problem_type="regression", labels=["score"])
    (found,) = labelled_texts(values, csv_file(tmp_path, [("text", 2.5)] * 20))
    assert found.values is not None
    assert found.values.tolist() == [2.5] * 20
    wrong = csv_file(tmp_path, [("text", 1)] * 20 + [("text", "many")])
    with pytest.raises(DataError, match=r"data\.csv:22: field 'label' is 'many', not a number"):
        labelled_texts(values, wrong)


def test_a_folder_of_data_is_for_models_that_know_their_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; name the labelled file for tiny"):
        labelled_texts(card("tiny"), tmp_path)
    with pytest.raises(DataError, match=r"no data file at .*sst2"):
        labelled_texts(card("sentiment"), tmp_path)
    assert labelled_texts(card("tiny"), None) == []


def test_speed_is_measured_in_turns(folder: Path) -> None:
    engine = open_for_evaluation(folder)
    texts = ["good"] * 50 + ["good " * 30] * 50
    lengths = typical_lengths(engine, texts)
    assert lengths == [3] * (LENGTHS // 2) + [32] * (LENGTHS // 2)
    first, second = measure_speed([engine, engine], texts, 0.05, Price(0.1))
    for found in (first, second):
        assert [each.batch for each in found.calls] == [1, 2, 4, 8]
        assert all(0 < each.p50_ms <= each.p99_ms for each in found.calls)
        assert found.engine_bytes == (folder / ENGINE_FILE).stat().st_size
        assert found.memory_bytes is not None
        assert found.memory_bytes > 0
        assert found.cost is not None
        best = max(each.texts_per_second for each in found.calls)
        assert found.cost.requests_per_second == pytest.approx(0.4 * best)


def test_the_cost_of_a_million_requests() -> None:
    """40 requests/s are 144,000 an hour, so that a million take 6.94 hours."""
    cost = Price(0.10, "EUR", load_share=0.4).cost(texts_per_second=100)
    assert cost.requests_per_second == pytest.approx(40)
    assert cost.per_million_requests == pytest.approx(0.10 * 1e6 / 144_000)
    assert cost.currency == "EUR"


def test_agreement_counts_who_is_right_alone(folder: Path, tmp_path: Path) -> None:
    """The other engine takes a film for bad: it is right on the third text only if that is."""
    other = write_word_engine(tmp_path / "tiny" / "2", WEIGHTS | {"film": (0.5, 0.0)})
    engines = [open_for_evaluation(folder), open_for_evaluation(other)]
    pairs = [(engine, engine.scores(TEXTS)) for engine in engines]
    expected = labels_matrix([[1], [0], [0], [0]], 2)
    found = agreement("ours", TEXTS, expected, *pairs)
    assert (found.rows, found.labels_differ) == (4, 1)
    assert (found.only_engine_right, found.only_against_right, found.p_value) == (0, 1, 1.0)
    (example,) = found.examples
    assert (example.text, example.expected) == ("a film", "negative")
    assert (example.engine, example.against) == ("positive", "negative")
    unlabelled = agreement("ours", TEXTS, None, *pairs)
    assert (unlabelled.labels_differ, unlabelled.p_value) == (1, None)
    assert unlabelled.examples[0].expected is None


def test_long_texts_are_shortened_to_a_line() -> None:
    assert shortened("a\n b") == "a b"
    assert len(shortened("word " * 200)) == MOST_CHARACTERS

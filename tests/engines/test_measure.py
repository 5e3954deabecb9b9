from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.graph import classifier_graph
from engines.measure import (
    accuracy,
    answers,
    answers_alone,
    answers_in_batches,
    drift,
    macro_f1,
    memory_bytes,
    open_session,
)
from tests.engines.tiny_encoder import LABELS, SHAPE, tiny_head, tiny_rows, tiny_weights


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return classifier_graph(tiny_weights(), SHAPE, *tiny_head())


def test_answers_are_probabilities_in_the_order_of_the_texts(model: onnx.ModelProto) -> None:
    session = open_session(model, threads=1)
    rows = tiny_rows(70)
    alone = answers_alone(session, rows)
    assert alone.shape == (70, LABELS)
    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(answers_in_batches(session, rows), alone, atol=1e-5)
    np.testing.assert_allclose(answers(session, rows[:2], 512), alone[:2], atol=1e-5)


def test_drift_of_scores_counts_changed_labels() -> None:
    reference = np.array([[0.6, 0.4], [0.9, 0.1]], dtype=np.float32)
    answered = np.array([[0.4, 0.6], [0.9, 0.1]], dtype=np.float32)
    found = drift(reference, answered, "logits")
    assert found.mean_change == pytest.approx(0.1)
    assert found.largest_change == pytest.approx(0.2)
    assert (found.texts, found.labels_changed) == (2, 1)


def test_drift_of_vectors_is_one_minus_cosine() -> None:
    reference = np.array([[1, 0], [0, 2]], dtype=np.float32)
    answered = np.array([[3, 0], [1, 0]], dtype=np.float32)
    found = drift(reference, answered, "embedding")
    assert found.mean_change == pytest.approx(0.5)
    assert found.largest_change == pytest.approx(1.0)


@pytest.mark.parametrize("output", ["logits", "embedding"])
def test_answers_that_are_no_numbers_are_not_taken_for_equal(output: str) -> None:
    reference = np.array([[0.6, 0.4], [0.9, 0.1]], dtype=np.float32)
    found = drift(reference, np.full_like(reference, np.nan), output)
    assert np.isnan(found.mean_change)
    assert np.isnan(found.largest_change)


def test_accuracy_stands_beside_the_reference() -> None:
    labels = np.array([0, 1, 1, 0])
    right = np.eye(2, dtype=np.float32)[labels]
    one_wrong = np.eye(2, dtype=np.float32)[[0, 1, 0, 0]]
    found = accuracy("some/data", labels, right, one_wrong)
    assert (found.rows, found.accuracy, found.reference_accuracy) == (4, 0.75, 1.0)
    assert found.reference_macro_f1 == 1.0
    assert found.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)


def test_macro_f1_counts_a_class_that_is_never_named_as_zero() -> None:
    labels = np.array([0, 0, 1])
    assert macro_f1(labels, np.array([0, 0, 0]), 2) == pytest.approx(0.4)


def test_memory_is_that_of_the_engine(
    model: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)  # where a path of another folder would not be found
    assert 1e6 < memory_bytes(Path("model.onnx")) < 500e6

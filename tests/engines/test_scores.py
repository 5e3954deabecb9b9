from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from core.buckets import bucket_length
from engines.measure import Floats
from engines.scores import Scores, labels_matrix, scores_for


class SumEngine:
    """Answers with the sum of the unmasked ids, and of all ids plus `leak` for each place."""

    def __init__(self, leak: float = 0.0) -> None:
        self.leak = leak

    def run(self, names: None, feed: dict[str, NDArray[np.int64]], /) -> list[Floats]:
        ids = feed["input_ids"] * feed["attention_mask"]
        total = ids.sum(axis=1) + self.leak * ids.shape[1]
        return [np.stack([total, -total], axis=1).astype(np.float32) / 10]

    def get_outputs(self) -> Sequence[Any]:
        return []


ROWS = [[1], [2, 3], [4] * 20, [1] * 100]


@pytest.mark.parametrize("problem_type", ["single_label", "multi_label", "regression"])
def test_an_engine_that_sees_padding_is_caught(problem_type: Any) -> None:
    for leak, moves in ((0.0, False), (0.05, True)):
        engine = SumEngine(leak)
        scores = scores_for(problem_type, engine, ROWS)
        found = scores.invariance(engine, ROWS, scores.alone(engine, ROWS), 128, 2e-3)
        assert (found.largest_change > 2e-3) is moves


def test_padding_that_gives_no_numbers_is_caught() -> None:
    class Broken(SumEngine):
        def run(self, names: None, feed: dict[str, NDArray[np.int64]], /) -> list[Floats]:
            (answer,) = super().run(names, feed)
            rows, length = feed["input_ids"].shape
            padded = rows == 1 and length > bucket_length(int(feed["attention_mask"].sum()))
            return [np.full_like(answer, np.nan) if padded else answer]

    scores = Scores("single_label")
    found = scores.invariance(Broken(), ROWS, scores.alone(Broken(), ROWS), 128, 2e-3)
    assert np.isnan(found.largest_change)


def test_no_text_is_padded_beyond_what_the_model_takes() -> None:
    class Limited(SumEngine):
        def run(self, names: None, feed: dict[str, NDArray[np.int64]], /) -> list[Floats]:
            assert feed["input_ids"].shape[1] <= 128
            return super().run(names, feed)

    scores = Scores("single_label")
    scores.invariance(Limited(), ROWS, scores.alone(Limited(), ROWS), 128, 2e-3)


def test_labels_are_the_best_or_those_over_one_half() -> None:
    values = np.array([[0.6, 0.7, 0.1], [0.2, 0.1, 0.3]], np.float32)
    assert Scores("single_label").labels(values).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert Scores("multi_label").labels(values).tolist() == [[1, 1, 0], [0, 0, 0]]
    assert not Scores("regression").labels(values).any()


def test_drift_counts_labels_that_change() -> None:
    before = np.array([[0.6, 0.4], [0.9, 0.1]], np.float32)
    after = np.array([[0.4, 0.6], [0.8, 0.2]], np.float32)
    found = Scores("single_label").drift(before, after)
    assert found.labels_changed == 1
    assert found.mean_change == pytest.approx(0.15)


def test_a_regressions_change_counts_in_its_own_spread() -> None:
    class Thousandth(SumEngine):
        def run(self, names: None, feed: dict[str, NDArray[np.int64]], /) -> list[Floats]:
            return [super().run(names, feed)[0] / 1000]

    engines = (SumEngine(), Thousandth())
    wide, narrow = (scores_for("regression", each, ROWS).alone(each, ROWS) for each in engines)
    np.testing.assert_allclose(wide, narrow, rtol=1e-4)


def test_with_several_labels_every_decision_counts() -> None:
    expected = labels_matrix([[0], [0, 1], []], 2)
    answered = np.array([[0.9, 0.9], [0.9, 0.9], [0.1, 0.1]], np.float32)
    found = Scores("multi_label").accuracy("x", expected, answered, answered)
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.macro_f1 == pytest.approx((1 + 2 / 3) / 2)

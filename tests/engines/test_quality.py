"""Measures of quality against examples worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from engines.evaluation_data import shares_right, value_errors
from engines.quality import (
    BINS,
    by_length,
    calibration,
    confusion,
    decisions,
    label_qualities,
    mcnemar,
    wilson_interval,
)
from engines.scores import labels_matrix

# Three labels; texts 2 and 5 are wrong.
EXPECTED = labels_matrix([[0], [0], [0], [1], [1]], 3)
GIVEN = labels_matrix([[0], [0], [1], [1], [2]], 3)


def test_labels_are_judged_one_by_one() -> None:
    found, macro_f1 = label_qualities(EXPECTED, GIVEN, ("a", "b", "c"))
    assert [(each.rows, each.given, each.right) for each in found] == [
        (3, 2, 2),
        (2, 2, 1),
        (0, 1, 0),
    ]
    assert [each.precision for each in found] == [1.0, 0.5, 0.0]
    assert [each.recall for each in found] == pytest.approx([2 / 3, 0.5, 0.0])
    assert [each.f1 for each in found] == pytest.approx([0.8, 0.5, 0.0])
    assert macro_f1 == pytest.approx((0.8 + 0.5 + 0.0) / 3)


def test_confusion_has_the_true_labels_in_rows() -> None:
    assert confusion(EXPECTED, GIVEN) == [[2, 1, 0], [0, 1, 1], [0, 0, 0]]


def test_the_calibration_error_weighs_bins_by_their_rows() -> None:
    """Three scores of 0.9, two right; one of 0.6, right: 3/4 · |2/3 - 0.9| + 1/4 · |1 - 0.6|."""
    scores = np.array([0.9, 0.9, 0.9, 0.6], dtype=np.float32)
    found = calibration(scores, np.array([True, True, False, True]))
    assert found.error == pytest.approx(0.75 * (0.9 - 2 / 3) + 0.25 * 0.4, abs=1e-6)
    assert len(found.bins) == BINS
    filled = [each for each in found.bins if each.rows]
    assert [(each.rows, round(each.accuracy, 3)) for each in filled] == [(1, 1.0), (3, 0.667)]
    assert all(each.low < each.confidence <= each.high for each in filled)


def test_a_sure_engine_that_is_always_right_has_no_calibration_error() -> None:
    found = calibration(np.ones(4, dtype=np.float32), np.ones(4, dtype=bool))
    assert found.error == 0
    assert found.bins[-1].rows == 4
    wrong = calibration(np.ones(4, dtype=np.float32), np.zeros(4, dtype=bool))
    assert wrong.error == 1


def test_what_counts_as_a_decision_depends_on_the_problem() -> None:
    scores = np.array([[0.7, 0.3], [0.4, 0.6]], dtype=np.float32)
    expected, given = labels_matrix([[0], [0]], 2), labels_matrix([[0], [1]], 2)
    sure, right = decisions("single_label", scores, expected, given)
    assert sure.tolist() == pytest.approx([0.7, 0.6])
    assert right.tolist() == [True, False]
    sure, right = decisions("multi_label", scores, expected, given)
    assert sure.tolist() == pytest.approx([0.7, 0.3, 0.4, 0.6])
    assert right.tolist() == [True, False, True, False]
    assert shares_right("single_label", expected, given).tolist() == [1, 0]
    several = labels_matrix([[0, 1], []], 2)
    assert shares_right("multi_label", several, given).tolist() == [0.5, 0.5]


def test_accuracy_by_length_leaves_empty_ranges_out() -> None:
    found = by_length(np.array([3, 16, 17, 200]), np.array([1.0, 0.0, 1.0, 1.0]))
    assert [(e.shortest, e.longest, e.rows, e.accuracy) for e in found] == [
        (1, 16, 2, 0.5),
        (17, 32, 1, 1.0),
        (129, 512, 1, 1.0),
    ]


def test_wilsons_interval() -> None:
    """8 of 10: Wilson 1927 has 0.490 to 0.943."""
    assert wilson_interval(0.8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson_interval(1.0, 10)[1] == 1.0
    assert wilson_interval(0.0, 10)[0] == 0.0


def test_mcnemars_exact_test() -> None:
    """5 to 0: both tails of five fair coins, 2/32."""
    assert mcnemar(5, 0) == pytest.approx(0.0625)
    assert mcnemar(0, 5) == mcnemar(5, 0)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(3, 3) == 1.0
    assert mcnemar(1, 3) == pytest.approx(2 * 5 / 16)
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)


def test_errors_of_values() -> None:
    expected, found = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0], dtype=np.float32)
    absolute, square, correlation = value_errors(expected, found)
    assert absolute == pytest.approx(1.0)
    assert square == pytest.approx(3**0.5)
    assert correlation == pytest.approx(np.corrcoef(expected, found)[0, 1])
    assert value_errors(expected, np.ones(3, dtype=np.float32))[2] == 0

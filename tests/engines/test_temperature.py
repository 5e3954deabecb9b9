from __future__ import annotations

import numpy as np
import pytest

from core.scores import softmax
from engines.temperature import (
    COLDEST,
    FEW_TEXTS,
    HOTTEST,
    NO_GAIN,
    calibrate,
    expected_calibration_error,
    fit_temperature,
    mean_nll,
)

Arrays = tuple[np.ndarray, np.ndarray]


def answered(texts: int, sureness: float, seed: int = 0) -> Arrays:
    """Logits that are `sureness` times what the labels, drawn by them, deserve."""
    random = np.random.default_rng(seed)
    true = random.normal(0, 1.5, (texts, 3)).astype(np.float32)
    labels = np.array([random.choice(3, p=row / row.sum()) for row in softmax(true).astype(float)])
    return true * np.float32(sureness), labels


@pytest.mark.parametrize("sureness", [0.5, 1.0, 3.0])
def test_the_temperature_is_how_much_too_sure_the_logits_are(sureness: float) -> None:
    assert fit_temperature(*answered(6000, sureness)) == pytest.approx(sureness, rel=0.08)


def test_no_other_temperature_makes_the_labels_likelier() -> None:
    logits, labels = answered(500, 2.5)
    best = fit_temperature(logits, labels)
    least = mean_nll(logits / best, labels)
    for other in (best * 0.98, best * 1.02, COLDEST, HOTTEST):
        assert mean_nll(logits / other, labels) > least


def test_what_has_no_best_temperature_stops_at_the_bounds() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2] * 20]
    right = np.array([0, 1, 2] * 20)
    assert fit_temperature(logits, right) == pytest.approx(COLDEST)
    assert fit_temperature(logits, (right + 1) % 3) == pytest.approx(HOTTEST)


def test_the_calibration_error_is_confidence_less_share_right() -> None:
    scores = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.3, 0.7]], dtype=np.float32)
    # Two at 0.9, one of them right; two at 0.7, both right.
    assert expected_calibration_error(scores, np.array([0, 1, 1, 1])) == pytest.approx(
        0.5 * abs(0.9 - 0.5) + 0.5 * abs(0.7 - 1.0)
    )
    sure = np.array([[1.0, 0.0]], dtype=np.float32)
    assert expected_calibration_error(sure, np.array([0])) == 0.0


def test_scores_of_unseen_texts_become_likelier_and_labels_stay() -> None:
    logits, labels = answered(400, 3.0)
    found = calibrate(logits, labels, seed=50)
    assert found.note == ""
    assert found.nll_after < found.nll_before
    assert found.error_after < 0.5 * found.error_before
    unseen, right = answered(400, 3.0, seed=1)
    cooled = (unseen / found.temperature).astype(np.float32)
    assert mean_nll(cooled, right) < mean_nll(unseen, right)
    assert (cooled.argmax(1) == unseen.argmax(1)).all()
    assert calibrate(logits, labels, seed=50) == found


def test_it_is_judged_on_texts_that_it_was_not_fitted_on() -> None:
    logits, labels = answered(60, 1.0)
    found = calibrate(logits, labels, seed=50)
    fitted_on_all = mean_nll(logits / fit_temperature(logits, labels), labels)
    assert found.nll_after > fitted_on_all


def test_scores_stay_as_they_are_where_nothing_is_gained() -> None:
    logits, labels = answered(39, 3.0)
    assert (calibrate(logits, labels, 50).temperature, FEW_TEXTS) == (
        1.0,
        calibrate(logits, labels, 50).note,
    )
    nothing_known = calibrate(np.zeros((100, 2), dtype=np.float32), np.zeros(100, dtype=int), 50)
    assert (nothing_known.temperature, nothing_known.note) == (1.0, NO_GAIN)
    assert nothing_known.error_after == nothing_known.error_before == pytest.approx(0.5)

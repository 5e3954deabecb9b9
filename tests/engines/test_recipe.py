from __future__ import annotations

import pytest

from engines.recipe import LARGEST_WEIGHT, balanced_weights


def test_every_label_weighs_the_same_in_all() -> None:
    labels = [0] * 60 + [1] * 30 + [2] * 10
    weights = balanced_weights(labels, 3)
    assert weights == pytest.approx([100 / 180, 100 / 90, 100 / 30])
    totals = [weights[label] * labels.count(label) for label in range(3)]
    assert totals == pytest.approx([100 / 3] * 3)


def test_no_label_weighs_without_bound() -> None:
    weights = balanced_weights([0] * 9999 + [1], 2)
    assert weights == pytest.approx([10000 / (2 * 9999), LARGEST_WEIGHT])

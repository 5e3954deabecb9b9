"""Krippendorff's alpha on his own example, and where it has no value."""

from __future__ import annotations

import numpy as np
import pytest

from engines.agreement import alpha_interval, ordinal_alpha

# Krippendorff (2011), section C: four observers, twelve units, missing ratings.
OBSERVERS = (
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
)
UNITS = [
    [int(rating) for rating in unit if rating != "."]
    for unit in zip(*(row.split() for row in OBSERVERS), strict=True)
]


def test_the_example_of_the_paper() -> None:
    assert ordinal_alpha(UNITS, 5) == pytest.approx(0.815, abs=5e-4)


def test_perfect_agreement_is_one_and_its_interval_too() -> None:
    units = [[1, 1], [3, 3, 3], [5, 5], [2, 2]]
    assert ordinal_alpha(units, 5) == pytest.approx(1)
    assert alpha_interval(units, 5) == pytest.approx((1, 1))


def test_a_pair_by_hand() -> None:
    """Two units rated 1, 2 and 2, 1: every pair disagrees, chance would in two of three.
    alpha = 1 - 1 / (2 / 3)."""
    assert ordinal_alpha([[1, 2], [2, 1]], 5) == pytest.approx(-0.5)


def test_far_apart_is_worse_than_near() -> None:
    near = [[1, 2], [3, 3], [5, 5], [4, 4]]
    far = [[1, 5], [3, 3], [5, 5], [4, 4]]
    found = ordinal_alpha(near, 5), ordinal_alpha(far, 5)
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > found[1]


def test_chance_is_about_nothing() -> None:
    units = np.random.default_rng(1).integers(1, 6, (3000, 3)).tolist()
    assert ordinal_alpha(units, 5) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("units", [[], [[3]], [[3], [4]], [[3, 3], [3, 3]]])
def test_nothing_to_agree_on_has_no_alpha(units: list[list[int]]) -> None:
    assert ordinal_alpha(units, 5) is None
    assert alpha_interval(units, 5) is None


def test_the_interval_holds_the_figure() -> None:
    interval = alpha_interval(UNITS, 5)
    assert interval is not None
    assert interval[0] < 0.815 < interval[1] <= 1

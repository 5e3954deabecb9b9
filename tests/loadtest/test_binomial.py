"""Tails of the binomial, against exact sums and against themselves."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.binomial import at_least, at_most


def exact(k: int, n: int, p: Fraction) -> float:
    return float(sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1)))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 80), st.integers(1, 80), st.integers(1, 99))
def test_equals_the_exact_sum(k: int, n: int, percent: int) -> None:
    wanted = exact(min(k, n), n, Fraction(percent, 100))
    assert at_most(k, n, percent / 100) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3000), st.integers(1, 200_000))
def test_the_two_tails_make_one(k: int, n: int) -> None:
    assert at_most(k, n, 0.01) + at_least(k + 1, n, 0.01) == pytest.approx(1, abs=1e-7)


def test_known_values() -> None:
    assert at_most(0, 459, 0.01) == pytest.approx(0.99**459)
    assert at_least(0, 10, 0.01) == 1
    assert at_most(-1, 10, 0.01) == 0
    # Far out, where 1 - P would be nothing but rounding.
    assert at_least(10, 10, 0.01) == pytest.approx(1e-20)
    # A million tries, one deviation below the mean: the normal distribution's 0.1587.
    assert at_most(9_900, 1_000_000, 0.01) == pytest.approx(0.1587, abs=0.002)

"""Every row travels once, with neighbours in length, within the limits."""

import random

import pytest

from service.slices import MAX_ROWS, plan_slices


def test_a_single_text_is_one_slice() -> None:
    assert plan_slices([25], 512) == [[0]]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_travels_once_and_within_the_limits(seed: int) -> None:
    chance = random.Random(seed)
    lengths = [chance.randint(3, 512) for _ in range(chance.randint(1, 300))]
    slices = plan_slices(lengths, 256)
    assert sorted(row for rows in slices for row in rows) == list(range(len(lengths)))
    for rows in slices:
        assert len(rows) <= MAX_ROWS
        assert len(rows) == 1 or sum(lengths[row] for row in rows) <= 256


def test_neighbours_in_length_share_a_slice() -> None:
    assert plan_slices([100, 10, 90, 20], 200) == [[1, 3, 2], [0]]


def test_many_short_rows_are_bounded_in_rows_too() -> None:
    slices = plan_slices([10] * 100, 100_000)
    assert [len(rows) for rows in slices] == [32, 32, 32, 4]

import random

import pytest

from core.buckets import bucket_length
from service.slices import MAX_ROWS, plan_slices


def test_a_single_text_is_one_slice() -> None:
    slices = plan_slices([25], 512)
    assert [(s.rows, s.length) for s in slices] == [([0], 32)]


@pytest.mark.parametrize("seed", range(20))
def test_every_row_travels_once_in_its_bucket_and_within_the_limits(seed: int) -> None:
    chance = random.Random(seed)
    lengths = [chance.randint(1, 512) for _ in range(chance.randint(1, 300))]
    slices = plan_slices(lengths, 512)
    assert sorted(row for s in slices for row in s.rows) == list(range(len(lengths)))
    for piece in slices:
        assert all(bucket_length(lengths[row]) == piece.length for row in piece.rows)
        assert len(piece.rows) <= MAX_ROWS
        assert len(piece.rows) == 1 or len(piece.rows) * piece.length <= 512


def test_many_short_rows_are_bounded_in_rows_too() -> None:
    slices = plan_slices([10] * 100, 100_000)
    assert [len(s.rows) for s in slices] == [32, 32, 32, 4]

"""Batches of texts for training."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from core.buckets import bucket_length
from engines.batches import MOST_ROWS, batches
from engines.short_padding import padded_length


@pytest.mark.parametrize("length_of", [bucket_length, padded_length])
def test_batches_cover_every_text_once_and_are_padded_alike(
    length_of: Callable[[int], int],
) -> None:
    chance = random.Random(0)
    lengths = [chance.randint(2, 200) for _ in range(1000)]
    made = list(batches(lengths, 1024, random.Random(1), length_of))
    assert sorted(i for batch in made for i in batch) == list(range(1000))
    for batch in made:
        (length,) = {length_of(lengths[i]) for i in batch}
        assert len(batch) * length <= 1024
        assert len(batch) <= MOST_ROWS


def test_a_text_longer_than_a_batch_stands_alone() -> None:
    assert sorted(batches([300, 300], 100, random.Random(1), bucket_length)) == [[0], [1]]


def test_short_texts_are_padded_in_fine_steps() -> None:
    assert [padded_length(tokens) for tokens in (1, 4, 5, 33, 64, 65, 512)] == [
        4, 4, 8, 40, 64, 80, 512,
    ]  # fmt: skip
    assert all(0 <= padded_length(tokens) - tokens < 16 for tokens in range(1, 513))

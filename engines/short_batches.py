"""Batches of texts of like length, in finer steps than serving's: most phrases are short."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from core.tokenizer import Ids, pad

MOST_ROWS = 64
# Up to so many tokens, texts are padded to a multiple of this: a sixth less padding on phrases
# than serving's buckets leave, and few enough shapes for oneDNN to compile each once.
STEPS = ((32, 4), (64, 8), (512, 16))


def padded_length(tokens: int) -> int:
    """What a text of so many tokens is padded to, at most 512."""
    step = next(step for most, step in STEPS if tokens <= most)
    return -(-tokens // step) * step


def batches(lengths: list[int], tokens_per_batch: int, order: random.Random) -> Iterator[list[int]]:
    """Yield shuffled batches of indices whose texts are padded alike."""
    alike: dict[int, list[int]] = {}
    for index, length in enumerate(lengths):
        alike.setdefault(padded_length(length), []).append(index)
    grouped: list[list[int]] = []
    for padded, indices in sorted(alike.items()):
        order.shuffle(indices)
        rows = min(MOST_ROWS, max(1, tokens_per_batch // padded))
        grouped += [indices[i : i + rows] for i in range(0, len(indices), rows)]
    order.shuffle(grouped)
    yield from grouped


def padded(rows: Sequence[list[int]]) -> tuple[Ids, Ids]:
    """Ids and mask of a batch, int64 of shape (texts, tokens)."""
    return pad(rows, padded_length(max(len(row) for row in rows)))

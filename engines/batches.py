"""Batches of texts that are padded alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

MOST_ROWS = 64


def batches(
    lengths: Sequence[int],
    tokens_per_batch: int,
    order: random.Random,
    padded_length: Callable[[int], int],
) -> Iterator[list[int]]:
    """Yield shuffled batches of indices whose texts are padded to one length.

    A length has one batch size, but for its last batch: oneDNN compiles a kernel for every new
    shape, and with shapes that hardly repeat, training takes several times as long.

    Args:
        lengths: of each text, in tokens.
        tokens_per_batch: at most, padded; a text that is longer stands alone.
        order: shuffles.
        padded_length: what a text of so many tokens is padded to.
    """
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

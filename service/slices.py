"""Cut rows of mixed length into Triton requests of one padded length each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.buckets import bucket_length

# The batcher would refuse a request of more rows; config.pbtxt has the same number.
MAX_ROWS = 32


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows, by index, that travel to Triton together, padded to `length` tokens."""

    rows: list[int]
    length: int


def plan_slices(lengths: Sequence[int], slice_tokens: int) -> list[Slice]:
    """Group rows of the same bucket into slices of at most `slice_tokens` padded tokens.

    `lengths` are token counts by row. A slice has at least one row, so a row longer than
    `slice_tokens` travels alone.
    """
    by_bucket: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        by_bucket.setdefault(bucket_length(length), []).append(row)
    slices = []
    for length, rows in by_bucket.items():
        count = min(MAX_ROWS, max(1, slice_tokens // length))
        slices += [Slice(rows[i : i + count], length) for i in range(0, len(rows), count)]
    return slices

"""Cut the rows of a request into pieces that go to the engine one by one."""

from __future__ import annotations

from collections.abc import Sequence

# Triton would refuse a request of more rows; config.pbtxt has the same number.
MAX_ROWS = 32


def plan_slices(lengths: Sequence[int], slice_tokens: int) -> list[list[int]]:
    """Indices of rows, shortest first, in slices of at most `slice_tokens` tokens and 32 rows.

    `lengths` are token counts by row. Neighbours in length share a slice, so that little is
    padded. A slice has at least one row: one longer than `slice_tokens` goes alone.
    """
    slices: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if not slices or lengths[row] > room or len(slices[-1]) == MAX_ROWS:
            slices.append([])
            room = slice_tokens
        slices[-1].append(row)
        room -= lengths[row]
    return slices

"""Pads texts to lengths in finer steps than serving's: most phrases are short."""

from __future__ import annotations

from collections.abc import Sequence

from core.tokenizer import Ids, pad

# Up to so many tokens, texts are padded to a multiple of this: a sixth less padding on phrases
# than serving's buckets leave, and few enough shapes for oneDNN to compile each once.
STEPS = ((32, 4), (64, 8), (512, 16))


def padded_length(tokens: int) -> int:
    """What a text of so many tokens is padded to, at most 512."""
    step = next(step for most, step in STEPS if tokens <= most)
    return -(-tokens // step) * step


def padded(rows: Sequence[list[int]]) -> tuple[Ids, Ids]:
    """Ids and mask of a batch, int64 of shape (texts, tokens)."""
    return pad(rows, padded_length(max(len(row) for row in rows)))

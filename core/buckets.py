"""The padded lengths that Triton sees.

Triton's dynamic batcher joins requests of equal shape only, so texts are padded to a short list
of lengths. More lengths waste fewer tokens on padding; fewer lengths find batch-mates sooner.
"""

from __future__ import annotations

from bisect import bisect_left

BUCKET_LENGTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
MAX_TOKENS = BUCKET_LENGTHS[-1]


def bucket_length(tokens: int) -> int:
    """Return the smallest bucket that holds `tokens` tokens.

    Raises:
        ValueError: `tokens` is larger than the largest bucket.
    """
    if tokens > MAX_TOKENS:
        raise ValueError(f"{tokens} tokens do not fit the largest bucket of {MAX_TOKENS}")
    return BUCKET_LENGTHS[bisect_left(BUCKET_LENGTHS, tokens)]

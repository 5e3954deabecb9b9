"""The mix of texts that tuning measures with."""

from __future__ import annotations

from collections.abc import Sequence

from core.buckets import bucket_length
from engines.errors import EngineError


def parse_lengths(text: str) -> list[tuple[int, float]]:
    """`25:0.7,128:0.3` as pairs of tokens and weight; a weight left out is 1.

    Raises:
        EngineError: it is not of that form, or a length is not between 1 and 512.
    """
    mix = []
    for part in text.split(","):
        tokens, _, weight = part.partition(":")
        try:
            pair = int(tokens), float(weight or 1)
            bucket_length(pair[0])
        except ValueError as error:
            raise EngineError(
                f"--lengths {text!r}: {part!r}: {error}; say 25:0.7,128:0.3"
            ) from None
        if pair[0] < 1 or not 0 < pair[1] < float("inf"):
            raise EngineError(f"--lengths {part!r}: tokens and weight must be positive")
        mix.append(pair)
    return mix


def cut_lengths(mix: Sequence[tuple[int, float]], max_tokens: int) -> list[tuple[int, float]]:
    """The mix as a model sees it that cuts texts at `max_tokens`."""
    return [(min(tokens, max_tokens), weight) for tokens, weight in mix]


def lengths_text(mix: Sequence[tuple[int, float]]) -> str:
    """A mix as `--lengths` gives it."""
    return ",".join(f"{tokens}:{weight:g}" for tokens, weight in mix)

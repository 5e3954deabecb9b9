"""Decide from the text's length alone whether a request may begin.

Work is bounded in tokens, not in requests: one contract costs what a thousand reviews do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import Refused
from service.metrics import Metrics

# English runs at 4 to 5 UTF-8 bytes a token; dividing by 4 errs on the costly side.
BYTES_PER_TOKEN = 4
SPECIAL_TOKENS = 2


def utf8_bytes(text: str) -> int:
    """Size of `text` in UTF-8; a lone surrogate counts 3."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(size_bytes: int) -> int:
    """Tokens that a text of so many UTF-8 bytes will take, special tokens included."""
    return size_bytes // BYTES_PER_TOKEN + SPECIAL_TOKENS


class Admission:
    """Counts estimated tokens in flight and refuses what would go over the limit."""

    def __init__(self, limit_tokens: int, metrics: Metrics) -> None:
        self._limit_tokens = limit_tokens
        self._inflight_tokens = 0
        self._metrics = metrics

    @contextmanager
    def admit(self, tokens: int) -> Iterator[None]:
        """Hold `tokens` for the length of the block.

        A request larger than the whole limit is admitted when nothing else is under way,
        so that no request is refused forever.

        Raises:
            Refused: it does not fit beside the work that is under way.
        """
        if self._inflight_tokens and self._inflight_tokens + tokens > self._limit_tokens:
            raise Refused(
                f"{self._inflight_tokens} tokens are under way and {tokens} more would go over "
                f"the limit of {self._limit_tokens}",
                reason="inflight_tokens",
            )
        self._add(tokens, 1)
        try:
            yield
        finally:
            self._add(-tokens, -1)

    def _add(self, tokens: int, requests: int) -> None:
        self._inflight_tokens += tokens
        self._metrics.inflight_tokens.set(self._inflight_tokens)
        self._metrics.inflight.inc(requests)

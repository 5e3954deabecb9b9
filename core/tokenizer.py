"""Text to token ids, and token ids to the padded arrays that an engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from core.buckets import MAX_TOKENS, bucket_length

Ids = npt.NDArray[np.int64]
Truncate = Literal["right", "left"]


@dataclass(frozen=True, slots=True)
class Tokens:
    """One text as token ids, special tokens included, never longer than the tokenizer's limit.

    `source_tokens` counts what the text would take uncut.
    """

    ids: list[int]
    source_tokens: int

    @property
    def truncated(self) -> bool:
        """Whether the encoder sees less than the whole text."""
        return self.source_tokens > len(self.ids)


def clean(text: str) -> str:
    """Replace lone surrogates, which UTF-8 and so the tokenizer cannot hold, by U+FFFD.

    A high and a low one in a row become the character that they encode in UTF-16.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class TextTokenizer:
    """A `tokenizer.json` with its padding and truncation taken over by us."""

    def __init__(self, path: Path, max_tokens: int = MAX_TOKENS) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        # The file pads every text to 128 tokens: a text of 5 would cost 128.
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.max_tokens = max_tokens
        self._special = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def encode(self, texts: Sequence[str], truncate: Truncate = "right") -> list[Tokens]:
        """Token ids of each text, cut to `max_tokens` at the given side."""
        encodings = self._tokenizer.encode_batch_fast([clean(text) for text in texts])
        return [self._cut(encoding, truncate) for encoding in encodings]

    def _cut(self, encoding: Encoding, truncate: Truncate) -> Tokens:
        ids = encoding.ids
        if len(ids) <= self.max_tokens:
            return Tokens(ids, len(ids))
        # Tokenizers cut before they add [CLS] and [SEP]; cutting after would lose [SEP].
        body = self.max_tokens - self._special
        kept = ids[1:-1][:body] if truncate == "right" else ids[1:-1][-body:]
        return Tokens([ids[0], *kept, ids[-1]], len(ids))


def pad(rows: Sequence[list[int]], length: int | None = None) -> tuple[Ids, Ids]:
    """Pad token ids with 0 to a bucket length.

    Returns:
        input_ids and attention_mask, each int64 of shape (rows, length); `length` defaults to the
        bucket of the longest row.
    """
    length = length or bucket_length(max(len(row) for row in rows))
    input_ids = np.zeros((len(rows), length), dtype=np.int64)
    attention_mask = np.zeros((len(rows), length), dtype=np.int64)
    for index, row in enumerate(rows):
        input_ids[index, : len(row)] = row
        attention_mask[index, : len(row)] = 1
    return input_ids, attention_mask

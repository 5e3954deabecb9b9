"""The texts that an engine or a training is profiled with: of one length, or a file's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path

from core.tokenizer import TextTokenizer
from engines.errors import DataError, EngineError
from engines.labelled_file import rows_of
from engines.texts import SENTENCES

OUR_TEXTS = "texts of this project"


@dataclass(frozen=True)
class Calls:
    """The texts of each call, the tokenizer that cuts them, and where they come from."""

    batches: tuple[tuple[str, ...], ...]
    tokenizer: TextTokenizer
    source: str

    @property
    def alike(self) -> bool:
        """Whether every call has the same texts."""
        return len(self.batches) == 1


def read_texts(path: Path) -> list[str]:
    """The field `text` of each row of a file of JSON lines or CSV.

    Raises:
        DataError: the file is missing or malformed, or a text is blank; names the line.
    """
    if not path.is_file():
        raise DataError(f"--texts {path}: there is no such file; name JSON lines or CSV")
    texts = []
    for number, row in rows_of(path, ("text",)):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}:{number}: field 'text' must be a string that is not blank")
        texts.append(text)
    if not texts:
        raise DataError(f"--texts {path} has no texts")
    return texts


def calls_of_length(tokenizer_file: Path, batch: int, tokens: int, most_tokens: int) -> Calls:
    """One call's texts of so many tokens each, out of sentences of this project.

    Raises:
        EngineError: the engine takes fewer tokens, or the tokenizer makes none of words.
    """
    if tokens > most_tokens:
        raise EngineError(f"--tokens {tokens}: the engine takes at most {most_tokens}")
    tokenizer = TextTokenizer(tokenizer_file, tokens)
    sentences = len(SENTENCES)
    texts = tuple(
        _of_length(tokenizer, [*SENTENCES[each % sentences :], *SENTENCES[: each % sentences]])
        for each in range(batch)
    )
    return Calls((texts,), tokenizer, f"{OUR_TEXTS}, cut to {tokens} tokens")


def calls_of_file(
    tokenizer_file: Path, path: Path, batch: int, calls: int, most_tokens: int
) -> Calls:
    """The texts of a file in their order, `batch` to a call, over again where they run out.

    Raises:
        DataError: see `read_texts`.
    """
    texts = read_texts(path)
    # Whole calls, so that no text is in one more often than its neighbours.
    distinct = min(calls, max(1, len(texts) // batch))
    taken = list(islice(cycle(texts), distinct * batch))
    batches = tuple(tuple(taken[start : start + batch]) for start in range(0, len(taken), batch))
    return Calls(batches, TextTokenizer(tokenizer_file, most_tokens), str(path))


def _of_length(tokenizer: TextTokenizer, sentences: Sequence[str]) -> str:
    """The fewest words that make as many tokens as the tokenizer takes."""
    words = list(chain.from_iterable(sentence.split() for sentence in sentences))
    wanted = tokenizer.max_tokens
    while _tokens(tokenizer, words) < wanted:
        if _tokens(tokenizer, words * 2) == _tokens(tokenizer, words):
            raise EngineError("the tokenizer makes no tokens of words; pass --texts")
        words = words * 2
    few, enough = 0, len(words)
    while enough - few > 1:
        middle = (few + enough) // 2
        if _tokens(tokenizer, words[:middle]) < wanted:
            few = middle
        else:
            enough = middle
    return " ".join(words[:enough])


def _tokens(tokenizer: TextTokenizer, words: Sequence[str]) -> int:
    return tokenizer.encode([" ".join(words)])[0].source_tokens

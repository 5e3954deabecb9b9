"""Summarizers run in this process, without Triton: engines, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.buckets import bucket_length
from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard
from core.scores import softmax
from core.summary import centrality, choose, count_words
from core.tokenizer import TextTokenizer, pad
from engines.baselines import BASELINES
from engines.engine_folder import engine_card
from engines.errors import EngineError
from engines.measure import feed, open_session

BATCH_TOKENS = 4096
# The label of the sentences that the service keeps.
KEEP_LABEL = "keep"

Floats = NDArray[np.float32]
Ranking = Callable[[Sequence[str]], tuple[Floats, Floats | None]]
"""Sentences to their scores, and to unit vectors if redundancy is to be removed by them."""


@dataclass(frozen=True)
class Ranked:
    """The sentences of one document and what a ranking says of them."""

    texts: list[str]
    words: list[int]
    scores: Floats
    vectors: Floats | None

    def chosen(
        self,
        *,
        max_sentences: int | None = None,
        max_words: int | None = None,
        ratio: float | None = None,
    ) -> list[int]:
        """The sentences of the summary within these limits, as the service chooses them."""
        return choose(
            self.scores,
            self.words,
            max_sentences=max_sentences,
            max_words=max_words,
            ratio=ratio,
            vectors=self.vectors,
        )

    def words_of(self, chosen: Sequence[int]) -> int:
        """Words of the chosen sentences."""
        return sum(self.words[index] for index in chosen)


def ranked(texts: list[str], ranking: Ranking) -> Ranked:
    """Rank the sentences of one document, of which there is at least one."""
    scores, vectors = ranking(texts)
    return Ranked(texts, [count_words(text) for text in texts], scores, vectors)


def baseline_rankings() -> dict[str, Ranking]:
    """The rankings to compare with, by name."""

    def ranking(name: str) -> Ranking:
        return lambda texts: (BASELINES[name](texts).astype(np.float32), None)

    return {name: ranking(name) for name in BASELINES}


class Summarizer:
    """A version folder of a summarizer: `model.onnx`, `tokenizer.json` and `card.json`.

    Raises:
        EngineError: a file is missing or is no card, or the engine does not summarize.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.card = _summarizer_card(folder)
        self.tokenizer = TextTokenizer(folder / TOKENIZER_FILE, self.card.max_tokens)
        self.session = open_session(folder / ENGINE_FILE, threads)

    def outputs(self, texts: Sequence[str]) -> Floats:
        """Logits or vectors, float32, shape (texts, labels or width)."""
        rows = [tokens.ids for tokens in self.tokenizer.encode(texts)]
        by_bucket: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_bucket.setdefault(bucket_length(len(row)), []).append(index)
        width = self.session.get_outputs()[0].shape[-1]
        result = np.zeros((len(rows), width), dtype=np.float32)
        for bucket, indices in by_bucket.items():
            size = max(1, BATCH_TOKENS // bucket)
            for start in range(0, len(indices), size):
                batch = indices[start : start + size]
                inputs = feed(*pad([rows[index] for index in batch], bucket))
                result[batch] = self.session.run(None, inputs)[0]
        return result

    def rank(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Sentence scores as the service has them, and vectors where the engine gives them."""
        outputs = self.outputs(texts)
        if self.card.output == "embedding":
            return centrality(outputs), outputs
        return softmax(outputs)[:, self.card.labels.index(KEEP_LABEL)], None


def _summarizer_card(folder: Path) -> EngineCard:
    card = engine_card(folder)
    if card.task != "summarize":
        raise EngineError(
            f"{folder} is an engine that answers {card.task!r}; name one that summarizes, such as "
            "general or contracts"
        )
    if card.output == "logits" and KEEP_LABEL not in card.labels:
        raise EngineError(f"{folder} has no label {KEEP_LABEL!r} to choose sentences by")
    return card

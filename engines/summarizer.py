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
from engines.measure import Engine, feed, open_session
from engines.model_config import MAX_BATCH_SIZE
from engines.plan_here import open_plan, require_plan_runs, served_plan

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
    """A version folder of a summarizer: `model.onnx`, or its plan, `tokenizer.json`, `card.json`.

    Raises:
        EngineError: a file is missing or is no card, the engine does not summarize, or it is a plan
            that cannot be run here.
    """

    def __init__(self, folder: Path, threads: int = 0) -> None:
        self.card = _summarizer_card(folder)
        self.tokenizer = TextTokenizer(folder / TOKENIZER_FILE, self.card.max_tokens)
        self.engine = _opened(folder, self.card, threads)

    def outputs(self, texts: Sequence[str]) -> Floats:
        """Logits or vectors, float32, shape (texts, labels or width), of at least one text."""
        rows = [tokens.ids for tokens in self.tokenizer.encode(texts)]
        by_bucket: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_bucket.setdefault(bucket_length(len(row)), []).append(index)
        found: dict[int, Floats] = {}
        for bucket, indices in by_bucket.items():
            size = min(max(1, BATCH_TOKENS // bucket), MAX_BATCH_SIZE)
            for start in range(0, len(indices), size):
                batch = indices[start : start + size]
                inputs = feed(*pad([rows[index] for index in batch], bucket))
                found.update(zip(batch, self.engine.run(None, inputs)[0], strict=True))
        return np.stack([found[index] for index in range(len(rows))])

    def rank(self, texts: Sequence[str]) -> tuple[Floats, Floats | None]:
        """Sentence scores as the service has them, and vectors where the engine gives them."""
        outputs = self.outputs(texts)
        if self.card.output == "embedding":
            return centrality(outputs), outputs
        return softmax(outputs)[:, self.card.labels.index(KEEP_LABEL)], None


def _opened(folder: Path, card: EngineCard, threads: int) -> Engine:
    if card.plan is not None:
        require_plan_runs(card)
        return open_plan(folder / served_plan(card))
    session: Engine = open_session(folder / ENGINE_FILE, threads)
    return session


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

"""Sentences of contracts, labelled by the passages that lawyers marked (CUAD)."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.sentences import Span, split_sentences
from engines.data import LabelledText, read_rows
from engines.errors import DataError
from engines.tasks import UNCOUNTED_CATEGORIES

CONTRACTS = "contracts"
DROP, KEEP = 0, 1
COPIES_PER_PASSAGE = 2
VALIDATION_NEGATIVES_PER_POSITIVE = 3.0


@dataclass(frozen=True)
class Contract:
    """A contract, its sentences, and the marked passages that count.

    `passages` are distinct and sorted: a passage marked under two categories counts once.
    `worth` is how many passages each sentence stands for, those that several sentences stand
    for in equal parts; one of them is enough for a summary.
    """

    identifier: str
    text: str
    sentences: tuple[Span, ...]
    worth: tuple[float, ...]
    passages: tuple[Span, ...]

    def sentence_texts(self) -> list[str]:
        """The sentences as they stand in the text."""
        return [self.text[start:end] for start, end in self.sentences]


def read_contracts(path: Path, uncounted: frozenset[str] = UNCOUNTED_CATEGORIES) -> list[Contract]:
    """Read `{"id", "text", "spans": [{"category", "start", "end"}]}` rows and split the texts.

    Raises:
        DataError: a field is missing or a span lies outside its text; names line and field.
    """
    return [
        _contract(row, f"{path}:{number}", uncounted)
        for number, row in enumerate(read_rows(path), start=1)
    ]


def _contract(row: dict[str, Any], where: str, uncounted: frozenset[str]) -> Contract:
    text = row.get("text")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: field 'text' must be a string that is not blank")
    try:
        marked = {
            Span(int(span["start"]), int(span["end"]))
            for span in row["spans"]
            if span["category"] not in uncounted
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{where}: field 'spans' must be a list of objects with category, start, end"
        ) from error
    if any(not 0 <= start < end <= len(text) for start, end in marked):
        raise DataError(f"{where}: field 'spans' has a range outside the text")
    sentences, passages = split_sentences(text), sorted(marked)
    worth = [0.0] * len(sentences)
    for passage in passages:
        standing = [
            number
            for number in overlapping(sentences, passage)
            if stands_for(sentences[number], passage)
        ]
        for number in standing:
            worth[number] += 1 / len(standing)
    return Contract(str(row.get("id")), text, tuple(sentences), tuple(worth), tuple(passages))


def overlapping(sentences: list[Span] | tuple[Span, ...], passage: Span) -> range:
    """Indices of the sentences, sorted and disjoint, that share a character with the passage."""
    first = bisect_right(sentences, passage.start, key=lambda span: span.end)
    last = bisect_left(sentences, passage.end, key=lambda span: span.start)
    return range(first, max(first, last))


def stands_for(sentence: Span, passage: Span) -> bool:
    """Whether the two share at least half of the shorter one.

    A marked passage often runs a few words into the next sentence; that one is no positive.
    """
    shared = min(sentence.end, passage.end) - max(sentence.start, passage.start)
    shorter = min(sentence.end - sentence.start, passage.end - passage.start)
    return 2 * shared >= shorter


def training_sentences(path: Path, negatives_per_positive: float, seed: int) -> list[LabelledText]:
    """The sentences to keep, as often as they are worth it, and a sample of those to drop.

    A sentence that alone stands for a passage comes twice, one of four that share a passage every
    second time: what counts is passages, not sentences. A text that is dropped in one contract
    and kept in another is taught as keep. Sentences to drop come once each. The order is mixed.
    """
    chance = random.Random(seed)
    worth, dropped = _distinct(path)
    positives = [
        LabelledText(text, KEEP)
        for text, passages in sorted(worth.items())
        for _ in range(int(COPIES_PER_PASSAGE * passages + chance.random()))
    ]
    negatives = _sample(dropped, round(len(positives) * negatives_per_positive), chance)
    texts = positives + negatives
    chance.shuffle(texts)
    return texts


def read_contract_validation(path: Path) -> list[LabelledText]:
    """The sentences that check a training after every epoch: the same sample every time."""
    worth, dropped = _distinct(path)
    count = round(len(worth) * VALIDATION_NEGATIVES_PER_POSITIVE)
    texts = [LabelledText(text, KEEP) for text in sorted(worth)]
    return texts + _sample(dropped, count, random.Random(0))


def _distinct(path: Path) -> tuple[dict[str, float], list[str]]:
    """Texts to keep with their worth over all contracts, and the others, sorted."""
    worth: dict[str, float] = {}
    seen: set[str] = set()
    for contract in read_contracts(path):
        for text, passages in zip(contract.sentence_texts(), contract.worth, strict=True):
            seen.add(text)
            if passages:
                worth[text] = worth.get(text, 0.0) + passages
    return worth, sorted(seen - worth.keys())


def _sample(texts: list[str], count: int, chance: random.Random) -> list[LabelledText]:
    taken = chance.sample(texts, min(count, len(texts)))
    return [LabelledText(text, DROP) for text in taken]

"""ROUGE of summaries against summaries that people wrote (Lin 2004)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.sentences import split_sentences
from engines.bootstrap import ratio_interval
from engines.data import read_rows
from engines.errors import DataError, EngineError
from engines.summarizer import Ranked

MEASURES = ("rouge1", "rouge2", "rougeL")
Scorer = Callable[[str, str], list[float]]


@dataclass(frozen=True)
class Reference:
    """A document's sentences, and the summary of it that a person wrote."""

    sentences: list[str]
    summary: str


@dataclass(frozen=True)
class Rouge:
    """Of one ranking's summaries: F1 in the order of `MEASURES` and words, a row a document."""

    f1: list[list[float]]
    words: list[int]

    def figures(self) -> dict[str, object]:
        """Means over the documents with their intervals."""
        columns = np.array(self.f1).T
        found: dict[str, object] = {}
        for name, values in zip(MEASURES, columns, strict=True):
            found[name] = float(values.mean())
            found[f"{name}_interval"] = ratio_interval(values)
        return found | {"mean_words": float(np.mean(self.words))}

    def lead_over(self, other: Rouge) -> dict[str, object]:
        """How much larger each mean is than another ranking's, with the intervals."""
        columns = (np.array(self.f1) - np.array(other.f1)).T
        found: dict[str, object] = {}
        for name, values in zip(MEASURES, columns, strict=True):
            found[name] = float(values.mean())
            found[f"{name}_interval"] = ratio_interval(values)
        return found


def read_references(path: Path) -> list[Reference]:
    """Read `{"text", "summary"}` rows and split the texts.

    Raises:
        DataError: the file is missing or empty, or a field is not a text; names line and field.
    """
    references = []
    for number, row in enumerate(read_rows(path), start=1):
        for field in ("text", "summary"):
            if not isinstance(row.get(field), str) or not row[field].strip():
                raise DataError(
                    f"{path}:{number}: field {field!r} must be a string that is not blank"
                )
        text = row["text"]
        sentences = [text[start:end] for start, end in split_sentences(text)]
        references.append(Reference(sentences, row["summary"]))
    if not references:
        raise DataError(f"{path} has no rows")
    return references


def rouge_scorer() -> Scorer:
    """F1 of ROUGE-1, -2 and -L, with stemming, of a summary against the reference before it.

    Raises:
        EngineError: the rouge-score package is missing.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]
    except ImportError as error:
        raise EngineError(
            "ROUGE needs the evaluate extra: pip install 'sub50[evaluate]'"
        ) from error
    scorer = RougeScorer(list(MEASURES), use_stemmer=True)

    def score(reference: str, summary: str) -> list[float]:
        found = scorer.score(reference, summary)
        return [float(found[name].fmeasure) for name in MEASURES]

    return score


def rouge_of(
    references: Sequence[Reference], rankings: Sequence[Ranked], sentences: int, scorer: Scorer
) -> Rouge:
    """Summarize every document to so many sentences and score the summaries."""
    f1, words = [], []
    for reference, ranking in zip(references, rankings, strict=True):
        chosen = ranking.chosen(max_sentences=sentences)
        summary = " ".join(ranking.texts[index] for index in chosen)
        f1.append(scorer(reference.summary, summary))
        words.append(ranking.words_of(chosen))
    return Rouge(f1, words)

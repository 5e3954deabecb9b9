"""Logits to labels, and sentence scores to a summary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from core.card import EngineCard
from core.scores import DEFAULT_THRESHOLD, scores_of, softmax
from core.sentences import Span
from core.summary import centrality, choose, count_words
from core.tokenizer import Tokens
from service.schemas import Classification, LabelScore, SummarizeRequest, Summary, SummarySentence

Floats = npt.NDArray[np.float32]

# Half precision and INT8 are not worth more digits than this.
DIGITS = 6
# The label whose probability is a sentence's importance.
KEEP_LABEL = "keep"


def classifications(
    card: EngineCard,
    logits: Floats,
    tokens: Sequence[Tokens],
    top_k: int | None = None,
    raw_scores: bool = False,
) -> list[Classification]:
    """Labels for each row of `logits`, float32 of shape (texts, labels).

    A regression has one label, whose score is the value itself, raw or not.
    """
    multi = card.problem_type == "multi_label"
    probabilities = scores_of(logits, card.problem_type)
    shown = logits if raw_scores else probabilities
    results = []
    for row, text_tokens in enumerate(tokens):
        order = np.argsort(-logits[row], kind="stable").tolist()
        scores = [
            LabelScore(label=card.labels[i], score=round(float(shown[row, i]), DIGITS))
            for i in order
        ]
        label: str | list[str] = scores[0].label
        best: float | None = scores[0].score
        if multi:
            limits = card.thresholds or [DEFAULT_THRESHOLD] * len(card.labels)
            label = [card.labels[i] for i in order if probabilities[row, i] > limits[i]]
            best = best if label else None
        results.append(
            Classification(
                label=label,
                score=best,
                scores=scores[:top_k],
                tokens=len(text_tokens.ids),
                truncated=text_tokens.truncated,
            )
        )
    return results


def summary_of(
    card: EngineCard,
    document: str,
    spans: Sequence[Span],
    tokens: Sequence[Tokens],
    outputs: Floats,
    request: SummarizeRequest,
) -> Summary:
    """Choose sentences of `document`.

    `outputs` has one row a sentence: logits of (sentences, labels), or unit vectors of
    (sentences, width) that are ranked by centrality.
    """
    texts = [document[span.start : span.end] for span in spans]
    vectors: Floats | None = None
    if card.output == "embedding":
        vectors = outputs
        scores = centrality(vectors)
    else:
        scores = softmax(outputs)[:, card.labels.index(KEEP_LABEL)]
    chosen = choose(
        scores,
        [count_words(text) for text in texts],
        max_sentences=request.max_sentences,
        max_words=request.max_words,
        ratio=request.ratio,
        vectors=vectors,
    )
    sentences = [
        SummarySentence(
            text=texts[i],
            start=spans[i].start,
            end=spans[i].end,
            score=round(float(scores[i]), DIGITS),
        )
        for i in chosen
    ]
    return Summary(
        summary=" ".join(" ".join(sentence.text.split()) for sentence in sentences),
        sentences=sentences,
        source_sentences=len(spans),
        tokens=sum(len(sentence_tokens.ids) for sentence_tokens in tokens),
    )

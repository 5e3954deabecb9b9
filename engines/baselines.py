"""What a learned summary is compared with: rankings of sentences that learn nothing.

Each takes the sentences of one document, at least one, and returns a score for each: float64,
shape (sentences,).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

_WORD = re.compile(r"\w+")
_DAMPING = 0.85
_LEXRANK_THRESHOLD = 0.1
_ITERATIONS = 100
# What every word of the document counts for in a summary that lacks it, so that the divergence
# from it stays finite.
_KLSUM_SMOOTHING = 0.01


def first_sentences(sentences: Sequence[str]) -> Scores:
    """The earlier, the better."""
    return -np.arange(len(sentences), dtype=np.float64)


def random_sentences(sentences: Sequence[str]) -> Scores:
    """Chance, the same for the same number of sentences."""
    chance = random.Random(len(sentences))
    return np.array([chance.random() for _ in sentences])


def lexrank(sentences: Sequence[str]) -> Scores:
    """PageRank over pairs whose tf-idf cosine is above 0.1 (Erkan and Radev 2004)."""
    counts = _count_matrix(sentences)
    inverse = np.log(len(sentences) / np.maximum(1, (counts > 0).sum(axis=0)))
    weighted = counts * inverse
    lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
    unit = weighted / np.where(lengths > 0, lengths, 1)
    edges = (unit @ unit.T > _LEXRANK_THRESHOLD).astype(np.float64)
    np.fill_diagonal(edges, 0)
    return _pagerank(edges)


def textrank(sentences: Sequence[str]) -> Scores:
    """PageRank over shared words by the logarithms of the lengths (Mihalcea and Tarau 2004)."""
    present = (_count_matrix(sentences) > 0).astype(np.float64)
    shared = present @ present.T
    logarithms = np.log(np.maximum(1, present.sum(axis=1)))
    norm = logarithms[:, None] + logarithms[None, :]
    weights = np.divide(shared, norm, out=np.zeros_like(shared), where=norm > 0)
    np.fill_diagonal(weights, 0)
    return _pagerank(weights)


def klsum(sentences: Sequence[str]) -> Scores:
    """Each next sentence keeps KL(document || summary) least (Haghighi and Vanderwende 2009).

    Over unigrams, with 0.01 added to every count of the summary. The paper stops when the summary
    is full; here all sentences are added, and the later one is, the less it scores.
    """
    counts = _count_matrix(sentences)
    places, words = np.nonzero(counts)
    times = counts[places, words]
    total = counts.sum()
    share = counts.sum(axis=0) / total if total else counts.sum(axis=0)
    # KL(P || Q) is least where the sum of P log Q is largest.
    lengths = counts.sum(axis=1)
    held = np.full(counts.shape[1], _KLSUM_SMOOTHING)
    left = np.ones(len(sentences), dtype=bool)
    scores = np.zeros(len(sentences))
    for place in range(len(sentences)):
        gains = share[words] * np.log1p(times / held[words])
        agreement = np.bincount(places, gains, len(sentences)) - np.log(held.sum() + lengths)
        best = int(np.where(left, agreement, -np.inf).argmax())
        scores[best] = -place
        held += counts[best]
        left[best] = False
    return scores


BASELINES: dict[str, Callable[[Sequence[str]], Scores]] = {
    "first sentences": first_sentences,
    "random": random_sentences,
    "LexRank": lexrank,
    "TextRank": textrank,
    "KLSum": klsum,
}


def _count_matrix(sentences: Sequence[str]) -> NDArray[np.float64]:
    """How often each word stands in each sentence, shape (sentences, vocabulary)."""
    words = [Counter(_WORD.findall(sentence.lower())) for sentence in sentences]
    columns = {word: column for column, word in enumerate(sorted(set().union(*words)))}
    counts = np.zeros((len(sentences), max(1, len(columns))))
    for row, found in enumerate(words):
        for word, times in found.items():
            counts[row, columns[word]] = times
    return counts


def _pagerank(weights: NDArray[np.float64]) -> Scores:
    """The stationary distribution of a damped walk; a node without edges leads anywhere."""
    nodes = len(weights)
    degree = weights.sum(axis=1, keepdims=True)
    steps = np.divide(weights, degree, out=np.full_like(weights, 1 / nodes), where=degree > 0)
    rank = np.full(nodes, 1 / nodes)
    for _ in range(_ITERATIONS):
        rank = (1 - _DAMPING) / nodes + _DAMPING * (rank @ steps)
    return rank

"""The rankings that learn nothing do what their papers say, on documents worked out by hand."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from engines.baselines import BASELINES, klsum

# The first sentence shares a word with each of the others, which share none: a star.
STAR = ["apple berry", "apple cherry", "berry date"]
# PageRank of that star, damped with 0.85: c = 0.05 + 0.85 * 2 l and l = 0.05 + 0.85 * c / 2.
LEAF = 0.07125 / 0.2775
CENTRE = 0.05 + 1.7 * LEAF


@pytest.mark.parametrize("name", ["LexRank", "TextRank"])
def test_walks_over_a_star_end_in_its_centre(name: str) -> None:
    assert BASELINES[name](STAR) == pytest.approx([CENTRE, LEAF, LEAF], abs=1e-6)


def test_lexrank_drops_edges_that_textrank_keeps() -> None:
    """Nine words of ten differ: the cosine is below 0.1, the shared word is still one."""
    letters = "abcdefghijklmnopqrs"
    far = [" ".join(["shared", *letters[:9]]), " ".join(["shared", *letters[9:18]]), "alone"]
    assert BASELINES["LexRank"](far) == pytest.approx([1 / 3] * 3)
    ranked = BASELINES["TextRank"](far)
    assert ranked[0] == pytest.approx(ranked[1])
    assert ranked[0] > ranked[2]


def test_first_sentences_come_first() -> None:
    assert BASELINES["first sentences"](STAR).argsort()[::-1].tolist() == [0, 1, 2]


def divergence(document: str, summary: str) -> float:
    """KL(document || summary) over unigrams by its definition, 0.01 added to the summary's."""
    wanted, held = Counter(document.split()), Counter(summary.split())
    total = sum(held.values()) + 0.01 * len(wanted)
    return sum(
        times / wanted.total() * math.log(times / wanted.total() / ((held[word] + 0.01) / total))
        for word, times in wanted.items()
    )


def test_klsum_takes_what_the_document_is_made_of() -> None:
    """Half of the words are a, and a quarter each b and c: "a b a c" has the very shares."""
    document = ["b b", "a b a c", "a a a a", "c c"]
    order = klsum(document).argsort()[::-1]
    assert order[0] == 1


def test_klsum_adds_the_sentence_that_keeps_the_divergence_least() -> None:
    random = np.random.default_rng(3)
    words = np.array(list("abcdefghij"))
    sentences = [" ".join(random.choice(words, size)) for size in random.integers(1, 9, 14)]
    order = (-klsum(sentences)).argsort().tolist()
    document, left = " ".join(sentences), list(range(len(sentences)))
    summary = ""
    for chosen in order:
        found = {index: divergence(document, f"{summary} {sentences[index]}") for index in left}
        assert found[chosen] == pytest.approx(min(found.values()))
        summary += f" {sentences[chosen]}"
        left.remove(chosen)
    assert left == []


@pytest.mark.parametrize("name", list(BASELINES))
@pytest.mark.parametrize("sentences", [["One."], ["...", "---"], ["same", "same", "same"]])
def test_every_sentence_has_a_score_whatever_stands_in_it(name: str, sentences: list[str]) -> None:
    scores = BASELINES[name](sentences)
    assert scores.shape == (len(sentences),)
    assert np.isfinite(scores).all()

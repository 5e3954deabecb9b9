"""Sentences are ranked by what they share with the others, and chosen within every limit."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from core.summary import POSITION_PRIOR, REDUNDANT_COSINE, centrality, choose, count_words


def unit(rows: list[list[float]]) -> NDArray[np.float32]:
    vectors = np.array(rows, dtype=np.float32)
    lengths: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def scores(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def test_centrality_is_the_mean_cosine_to_the_others_and_a_prior() -> None:
    vectors = unit([[1, 0], [1, 1], [0, 1]])
    cosines = vectors @ vectors.T
    others = (cosines.sum(axis=1) - 1) / 2
    expected = others + POSITION_PRIOR / np.array([1, 2, 3])
    found = centrality(vectors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found.argmax() == 1


@pytest.mark.parametrize("sentences", [0, 1])
def test_centrality_of_one_or_no_sentence(sentences: int) -> None:
    assert centrality(np.ones((sentences, 4), dtype=np.float32)).tolist() == [1.0] * sentences


def test_centrality_of_ten_thousand_sentences_needs_no_square_of_memory() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(10_000, 384)).tolist())
    started = time.process_time()
    found = centrality(vectors)
    assert time.process_time() - started < 1
    assert found.shape == (10_000,)


def test_three_sentences_in_document_order_where_no_limit_is_given() -> None:
    assert choose(scores(0.1, 0.9, 0.8, 0.2, 1.0), [9] * 5) == [1, 2, 4]


def test_the_earlier_wins_among_equals() -> None:
    assert choose(scores(0.5, 0.5, 0.5), [9] * 3, max_sentences=1) == [0]


@pytest.mark.parametrize(
    ("sentences", "ratio", "chosen"), [(10, 0.15, 2), (3, 0.1, 1), (20, 0.5, 10), (4, 1.0, 4)]
)
def test_ratio_is_rounded_but_leaves_one(sentences: int, ratio: float, chosen: int) -> None:
    assert len(choose(np.ones(sentences, np.float32), [9] * sentences, ratio=ratio)) == chosen


def test_max_words_passes_over_what_does_not_fit() -> None:
    ranked = scores(0.9, 0.8, 0.7, 0.6)
    assert choose(ranked, [30, 12, 6, 3], max_words=10) == [2, 3]
    assert choose(ranked, [30, 12, 6, 4], max_words=10) == [2, 3]
    assert choose(ranked, [30, 12, 6, 5], max_words=2) == []


def test_all_limits_hold_at_once() -> None:
    ranked = scores(*np.linspace(1, 0, 20))
    assert choose(ranked, [10] * 20, max_sentences=5, max_words=1000, ratio=0.1) == [0, 1]
    assert choose(ranked, [10] * 20, max_sentences=1, max_words=1000, ratio=0.5) == [0]
    assert choose(ranked, [10] * 20, max_sentences=9, max_words=35, ratio=0.5) == [0, 1, 2]


def test_headings_stand_back_unless_there_is_nothing_else() -> None:
    assert choose(scores(0.9, 0.1, 0.2), [2, 8, 8], max_sentences=3) == [1, 2]
    assert choose(scores(0.1, 0.9), [2, 1], max_sentences=1) == [1]


def test_what_repeats_a_chosen_sentence_is_passed_over() -> None:
    vectors = unit([[1, 0], [1, 0.01], [0, 1]])
    assert float(vectors[0] @ vectors[1]) > REDUNDANT_COSINE
    ranked = scores(0.9, 0.8, 0.1)
    assert choose(ranked, [9] * 3, max_sentences=2) == [0, 1]
    assert choose(ranked, [9] * 3, max_sentences=2, vectors=vectors) == [0, 2]


def test_nothing_comes_of_nothing() -> None:
    assert choose(scores(), []) == []


def test_choosing_from_ten_thousand_is_quick() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(10_000, 384)).tolist())
    started = time.process_time()
    chosen = choose(centrality(vectors), [9] * 10_000, ratio=0.15, vectors=vectors)
    assert time.process_time() - started < 10
    assert len(chosen) == 1500


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("two words", 2), (" a\n b\tc ", 3), ("今天天气", 4), ("GPU 很快 ok", 4)],
)
def test_words(text: str, words: int) -> None:
    assert count_words(text) == words

"""Texts have the lengths that they claim, counted by the tokenizer that serves."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from core.tokenizer import TextTokenizer
from loadtest.texts import make_text

TOKENIZER = Path(__file__).parent.parent.parent / "model_repository/sentiment/1/tokenizer.json"
INTERACTIVE_BYTES = 1_900


def texts_of(kind: str, count: int, seed: int = 1) -> list[str]:
    source = random.Random(seed)
    return [make_text(kind, source) for _ in range(count)]


@pytest.mark.parametrize(
    ("kind", "mean", "least", "most"), [("sentence", 25, 12, 45), ("review", 128, 100, 160)]
)
def test_tokens(kind: str, mean: float, least: int, most: int) -> None:
    if not TOKENIZER.exists():
        pytest.skip("the sentiment engine is not built: sub50 engines build")
    encoded = TextTokenizer(TOKENIZER).encode(texts_of(kind, 1000))
    counts = np.array([tokens.source_tokens for tokens in encoded])
    assert abs(counts.mean() / mean - 1) < 0.1
    assert counts.min() >= least
    assert counts.max() <= most
    # A spread, not one length.
    assert counts.std() > 0.05 * mean


@pytest.mark.parametrize("kind", ["sentence", "review", "clause"])
def test_hundreds_of_distinct_texts(kind: str) -> None:
    assert len(set(texts_of(kind, 600))) > 550


@pytest.mark.parametrize("kind", ["sentence", "review", "clause", "contract"])
def test_the_seed_decides(kind: str) -> None:
    assert texts_of(kind, 3, seed=1) == texts_of(kind, 3, seed=1)
    assert texts_of(kind, 3, seed=1) != texts_of(kind, 3, seed=2)


def test_a_clause_stays_interactive() -> None:
    for text in texts_of("clause", 200):
        assert 1_600 < len(text.encode()) <= INTERACTIVE_BYTES
        assert 10 <= text.count(". ") + 1 <= 30


def test_a_contract_is_bulk_by_far() -> None:
    for text in texts_of("contract", 20):
        assert 200 <= text.count(".") / 1.4 <= 500
        assert len(text.encode()) > 10 * INTERACTIVE_BYTES

"""Passages that summaries touch, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engines.bootstrap import ratio_interval
from engines.contracts import Contract, read_contracts
from engines.marked_passages import touched_by, touches
from engines.summarizer import Ranked, baseline_rankings, ranked
from tests.engines.tiny_summarizer import SENTENCES, document, span, write_rows

FEE, LATE, LAW = SENTENCES[:3]
TEXT = document(3, 0, 1, 2, 4)


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    spans = [span(TEXT, f"{FEE} {LATE}"), span(TEXT, LAW, "Law"), span(TEXT, LAW[:12], "Another")]
    path = write_rows(tmp_path / "one.jsonl", [{"id": "one", "text": TEXT, "spans": spans}])
    return read_contracts(path)[0]


def favouring(contract: Contract, wanted: Sequence[str]) -> Ranked:
    """A ranking that puts these sentences first, in this order."""
    texts = contract.sentence_texts()
    scores = [-wanted.index(text) if text in wanted else -99 for text in texts]
    return ranked(texts, lambda _: (np.array(scores, dtype=np.float32), None))


def test_a_passage_is_touched_by_any_chosen_sentence(contract: Contract) -> None:
    texts = contract.sentence_texts()
    assert touches(contract, [texts.index(LATE)]) == [True, False, False]
    assert touches(contract, [texts.index(LAW)]) == [False, True, True]
    assert touches(contract, []) == [False] * 3


def test_half_asks_for_more_than_a_touch(tmp_path: Path) -> None:
    """A passage that runs three letters into the next sentence."""
    start = TEXT.index(LATE)
    spans = [{"category": "Fees", "start": start, "end": start + len(LATE) + 4}]
    path = write_rows(tmp_path / "over.jsonl", [{"text": TEXT, "spans": spans}])
    found = read_contracts(path)[0]
    law = found.sentence_texts().index(LAW)
    assert touches(found, [law]) == [True]
    assert touches(found, [law], half=True) == [False]


def test_shares_and_lengths_are_those_counted_by_hand(contract: Contract) -> None:
    """15 % of five sentences is one, of 35 words five: the law is a sentence of five words, the
    late fees have nine."""
    late, law = favouring(contract, [LATE, LAW]), favouring(contract, [LAW, LATE])
    first, second = touched_by([contract], [late]), touched_by([contract], [law])
    assert first.figures()["share"] == pytest.approx(1 / 3)
    assert first.figures()["share_at_equal_words"] == pytest.approx(2 / 3)
    assert first.figures()["word_share"] == pytest.approx(9 / len(TEXT.split()))
    assert first.figures()["mean_sentences"] == 1
    assert second.figures()["share"] == pytest.approx(2 / 3)
    lead, interval = second.lead_over(first)
    assert lead == pytest.approx(1 / 3)
    assert interval is None  # one contract says nothing of others


def test_first_sentences_touch_what_stands_first(contract: Contract) -> None:
    ranking = baseline_rankings()["first sentences"]
    assert touched_by([contract], [ranked(contract.sentence_texts(), ranking)]).share == 0


def test_intervals_hold_the_ratio_and_narrow_with_more_documents() -> None:
    random = np.random.default_rng(0)
    passages = random.integers(1, 20, 400)
    hits = random.binomial(passages, 0.7)
    wide = ratio_interval(hits[:20], passages[:20])
    narrow = ratio_interval(hits, passages)
    assert wide is not None
    assert narrow is not None
    assert narrow[0] < hits.sum() / passages.sum() < narrow[1]
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])
    # A mean of 4,000 throws of 0.7 has a standard error of 0.0072.
    assert narrow[1] - narrow[0] == pytest.approx(2 * 1.96 * 0.0072, rel=0.2)
    assert ratio_interval(hits, passages) == narrow


def test_intervals_need_two_documents_that_count() -> None:
    assert ratio_interval([1], [2]) is None
    assert ratio_interval([1, 0], [2, 0]) is None
    assert ratio_interval([1, 1], [2, 2]) == (0.5, 0.5)

import numpy as np
import pytest

from core.sentences import split_sentences
from core.tokenizer import Tokens
from service.postprocess import classifications, summary_of
from service.schemas import SummarizeRequest
from tests.tiny import card

TOKENS = [Tokens([1, 2, 3], 3)]


def test_single_label_scores_are_sorted_and_sum_to_one() -> None:
    (result,) = classifications(card("m"), np.array([[0.0, 2.0]], np.float32), TOKENS)
    assert result.label == "positive"
    assert [item.label for item in result.scores] == ["positive", "negative"]
    assert sum(item.score for item in result.scores) == pytest.approx(1)
    assert result.tokens == 3


def test_raw_scores_are_logits_and_top_k_cuts() -> None:
    logits = np.array([[0.5, 2.0]], np.float32)
    (result,) = classifications(card("m"), logits, TOKENS, top_k=1, raw_scores=True)
    assert [item.score for item in result.scores] == [2.0]


def test_multi_label_lists_the_labels_over_their_thresholds() -> None:
    multi = card(
        "m", problem_type="multi_label", labels=["a", "b", "c"], thresholds=[0.9, 0.5, 0.5]
    )
    logits = np.array([[1.0, 1.0, -1.0], [-5.0, -5.0, -5.0]], np.float32)
    first, second = classifications(multi, logits, TOKENS * 2)
    assert first.label == ["b"]
    assert second.label == []
    assert second.score is None


def test_a_regressions_score_is_its_value() -> None:
    regression = card("m", problem_type="regression", labels=["stars"])
    for raw in (False, True):
        (result,) = classifications(
            regression, np.array([[4.25]], np.float32), TOKENS, raw_scores=raw
        )
        assert (result.label, result.score) == ("stars", 4.25)
        assert [item.score for item in result.scores] == [4.25]


def test_summary_sentences_are_slices_in_document_order() -> None:
    document = "The first one matters. The second one does not. The third one matters most."
    spans = split_sentences(document)
    summarizer = card("contracts", task="summarize", labels=["drop", "keep"])
    outputs = np.array([[0, 1], [0, -3], [0, 3]], np.float32)
    request = SummarizeRequest(input=document, model="contracts", max_sentences=2)
    summary = summary_of(summarizer, document, spans, TOKENS * 3, outputs, request)
    assert [s.text for s in summary.sentences] == [
        "The first one matters.",
        "The third one matters most.",
    ]
    assert all(document[s.start : s.end] == s.text for s in summary.sentences)
    assert summary.source_sentences == 3
    assert summary.tokens == 9

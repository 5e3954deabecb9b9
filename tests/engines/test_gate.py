from __future__ import annotations

import math

import pytest

from core.card import Accuracy, Drift, Invariance, Verdict
from engines.errors import GateError
from engines.gate import INVARIANCE_LIMIT, judge, require


def drift(mean_change: float = 0.003) -> Drift:
    return Drift(texts=96, mean_change=mean_change, largest_change=0.2, labels_changed=1)


def invariance(largest_change: float = 0.0, labels_flipped: int = 0) -> Invariance:
    return Invariance(
        texts=96,
        largest_change=largest_change,
        labels_flipped=labels_flipped,
        limit=INVARIANCE_LIMIT,
    )


def accuracy(value: float, reference: float = 0.92) -> Accuracy:
    return Accuracy(
        data="reviews/test.jsonl.gz",
        rows=800,
        accuracy=value,
        macro_f1=value,
        reference_accuracy=reference,
        reference_macro_f1=reference,
    )


def test_a_good_engine_passes_with_and_without_labelled_data() -> None:
    assert judge(drift(), invariance(), []).passed
    assert judge(drift(), invariance(INVARIANCE_LIMIT), [accuracy(0.9101)]).passed
    require("sentiment", judge(drift(), invariance(), [accuracy(0.93)]))


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (judge(drift(), invariance(0.0021), []), "move by 0.0021"),
        (judge(drift(), invariance(labels_flipped=2), []), "2 labels flip"),
        (judge(drift(), invariance(), [accuracy(0.909)]), r"drops by 1\.1 points to 90\.9 %"),
        (judge(drift(0.2), invariance(), []), "change by 0.2000 on average"),
        (judge(drift(math.nan), invariance(), []), "change by nan"),
        (judge(drift(), invariance(math.nan), []), "move by nan"),
    ],
)
def test_every_limit_refuses_with_its_reason(verdict: Verdict, reason: str) -> None:
    with pytest.raises(GateError, match=f"(?s)engine sentiment.*{reason}"):
        require("sentiment", verdict)


def test_all_reasons_are_given() -> None:
    verdict = judge(drift(1.0), invariance(1.0, 3), [accuracy(0.5), accuracy(0.6)])
    assert len(verdict.reasons) == 5

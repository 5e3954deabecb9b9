"""Whether a candidate may take over, by what it answered to copies of live requests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core.card import EngineCard
from service import shadow_record
from service.errors import PromotionError
from service.shadow_record import Findings, Record, require
from tests.tiny import card

SURE, UNSURE = [-2.0, 2.0], [-0.1, 0.1]


def rows(*values: list[float]) -> Any:
    return np.array(values, dtype=np.float32)


def record(
    served: EngineCard,
    pairs: list[tuple[list[float], list[float]]],
    times_ms: list[tuple[float, float]] | None = None,
) -> Record:
    """A record of single rows: answers of both, and the times of both."""
    found = Record(served, served)
    times_ms = times_ms or [(5.0, 5.0)] * len(pairs)
    for (expected, answered), (served_ms, candidate_ms) in zip(pairs, times_ms, strict=True):
        found.add(rows(expected), rows(answered), served_ms, candidate_ms)
    return found


def verdict(found: Record, budget_ms: float = 50.0, same_labels: bool = True) -> Findings:
    findings = found.findings(budget_ms)
    require(findings, card("sentiment"), same_labels)
    return findings


def test_labels_that_agree_and_times_that_hold_pass() -> None:
    findings = verdict(record(card("sentiment"), [(SURE, [-1.0, 1.0])] * 300))
    assert (findings.copies, findings.labels_compared, findings.labels_changed) == (300, 300, 0)
    assert (findings.served_p99_ms, findings.candidate_p99_ms) == (5.0, 5.0)
    assert findings.mean_change == pytest.approx(0.982 - 0.881, abs=1e-3)


def test_one_sure_label_in_a_hundred_may_differ_and_no_more() -> None:
    same, other = (SURE, SURE), (SURE, [2.0, -2.0])
    assert verdict(record(card("sentiment"), [same] * 297 + [other] * 3)).agreement == 0.99
    found = record(card("sentiment"), [same] * 296 + [other] * 4)
    with pytest.raises(PromotionError, match=r"4 of 300 sure labels differ \(98\.7 % agree"):
        verdict(found)
    assert verdict(found, same_labels=False).labels_changed == 4


def test_labels_that_hang_in_the_balance_are_not_compared() -> None:
    unsure, sure = (UNSURE, [0.1, -0.1]), (SURE, SURE)
    assert verdict(record(card("sentiment"), [unsure] * 200 + [sure] * 100)).labels_compared == 100
    with pytest.raises(PromotionError, match="sure of 99 labels only, at least 100"):
        verdict(record(card("sentiment"), [unsure] * 200 + [sure] * 99))


def test_too_little_traffic_says_how_much_is_needed() -> None:
    with pytest.raises(PromotionError, match=r"only 199 copies .* at least 200"):
        verdict(record(card("sentiment"), [(SURE, SURE)] * 199))


@pytest.mark.parametrize(
    ("served_ms", "slow_ms", "slow", "budget_ms", "words"),
    [
        (10.0, 14.0, 300, 50.0, None),  # within one and a half times
        (10.0, 16.0, 5, 50.0, None),  # no more than chance brings
        (10.0, 16.0, 30, 50.0, "30 calls took longer than 15.0 ms"),
        (40.0, 55.0, 300, 50.0, "300 calls took longer than 50.0 ms"),
        (60.0, 80.0, 300, 50.0, None),  # the machine is too slow for both
        (60.0, 95.0, 300, 50.0, "300 calls took longer than 90.0 ms"),
    ],
)
def test_the_p99_has_to_hold(
    served_ms: float, slow_ms: float, slow: int, budget_ms: float, words: str | None
) -> None:
    times = [(served_ms, slow_ms)] * slow + [(served_ms, served_ms)] * (300 - slow)
    found = record(card("sentiment"), [(SURE, SURE)] * 300, times)
    if words is None:
        verdict(found, budget_ms)
    else:
        with pytest.raises(PromotionError, match=words):
            verdict(found, budget_ms)


def test_vectors_and_values_are_compared_by_how_far_they_move() -> None:
    vectors = card("general", task="summarize", labels=[], output="embedding")
    near, far = ([1.0, 0.0], [1.0, 0.01]), ([1.0, 0.0], [0.8, 0.6])
    found = record(vectors, [near] * 200).findings(50)
    require(found, vectors, same_labels=True)
    moved = record(vectors, [far] * 200).findings(50)
    with pytest.raises(PromotionError, match=r"differ by 0\.200"):
        require(moved, vectors, same_labels=True)
    require(moved, vectors, same_labels=False)
    values = card("sentiment", labels=["value"], problem_type="regression")
    pairs = [([float(v)], [v + 0.3]) for v in range(10)] * 20
    assert record(values, pairs).findings(50).mean_change == pytest.approx(0.3 / 9)


def test_times_are_kept_for_as_long_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_record, "MOST_TIMES", 10)
    found = record(card("sentiment"), [(SURE, SURE)] * 30, [(9.0, 9.0)] * 20 + [(5.0, 5.0)] * 10)
    assert found.findings(50).candidate_p99_ms == 5.0

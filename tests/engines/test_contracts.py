"""A sentence is taught as worth keeping if a lawyer marked it, and as much as that is worth."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from core.sentences import Span
from engines.contracts import (
    KEEP,
    overlapping,
    read_contract_validation,
    read_contracts,
    stands_for,
    training_sentences,
)
from engines.errors import DataError

FEE = "The Buyer pays the fee within ten days."
LATE = "Late fees are due at once and without notice."
LAW = "Delaware law governs this agreement."
PLAIN = "This page was left blank on purpose."
TEXT = " ".join([PLAIN, FEE, LATE, LAW, "Nobody knows why this is here."])


def span(text: str, marked: str, category: str = "Fees") -> dict[str, Any]:
    start = text.index(marked)
    return {"category": category, "start": start, "end": start + len(marked)}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.fixture
def contracts(tmp_path: Path) -> Path:
    spans = [span(TEXT, f"{FEE} {LATE}"), span(TEXT, LAW), span(TEXT, LAW, "Governing Law")]
    spans += [span(TEXT, LAW[:12], "Another"), span(TEXT, "page", "Parties")]
    return write(tmp_path / "contracts.jsonl.gz", [{"id": "one", "text": TEXT, "spans": spans}])


def test_worth_is_passages_shared_among_the_sentences_that_stand_for_them(contracts: Path) -> None:
    contract = read_contracts(contracts)[0]
    assert contract.sentence_texts()[1:4] == [FEE, LATE, LAW]
    # The law is marked twice in the same place, which counts once, and once in part.
    assert contract.worth == (0.0, 0.5, 0.5, 2.0, 0.0)
    assert len(contract.passages) == 3


def test_names_do_not_count_unless_asked_for(contracts: Path) -> None:
    assert read_contracts(contracts, uncounted=frozenset())[0].worth[0] == 1.0


@pytest.mark.parametrize(
    ("sentence", "passage", "stands"),
    [
        (Span(0, 100), Span(0, 100), True),
        (Span(0, 100), Span(99, 200), False),
        (Span(0, 100), Span(50, 200), True),
        (Span(0, 100), Span(51, 200), False),
        (Span(0, 1000), Span(20, 40), True),
        (Span(0, 100), Span(90, 110), True),
    ],
)
def test_a_touch_is_no_positive(sentence: Span, passage: Span, stands: bool) -> None:
    assert stands_for(sentence, passage) is stands


def test_overlapping_takes_half_open_ranges() -> None:
    sentences = [Span(0, 10), Span(11, 20), Span(21, 30)]
    assert list(overlapping(sentences, Span(10, 11))) == []
    assert list(overlapping(sentences, Span(9, 12))) == [0, 1]
    assert list(overlapping(sentences, Span(11, 20))) == [1]
    assert list(overlapping(sentences, Span(40, 50))) == []


def test_training_repeats_what_is_worth_more(contracts: Path) -> None:
    texts = training_sentences(contracts, negatives_per_positive=1.0, seed=7)
    copies = Counter(item.text for item in texts if item.label == KEEP)
    assert copies == {LAW: 4, FEE: 1, LATE: 1}
    dropped = [item.text for item in texts if item.label != KEEP]
    assert len(dropped) == len(set(dropped)) == 2


def test_training_is_the_same_for_the_same_seed(contracts: Path) -> None:
    first = training_sentences(contracts, 0.2, seed=7)
    assert first == training_sentences(contracts, 0.2, seed=7)
    assert Counter(item.label for item in first) == {KEEP: 6, 0: 1}
    seen = {tuple(training_sentences(contracts, 0.2, seed=seed)) for seed in range(5)}
    assert len(seen) > 1


def test_boilerplate_marked_once_is_kept_everywhere(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": f"{LAW} {PLAIN}", "spans": [span(f"{LAW} {PLAIN}", LAW)]},
        {"id": "b", "text": f"{LAW} {FEE}", "spans": []},
    ]
    texts = read_contract_validation(write(tmp_path / "two.jsonl.gz", rows))
    labels = {item.text: item.label for item in texts}
    assert labels == {LAW: KEEP, PLAIN: 0, FEE: 0}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"text": " ", "spans": []}, "text"),
        ({"text": 5, "spans": []}, "text"),
        ({"text": "Fine.", "spans": None}, "spans"),
        ({"text": "Fine."}, "spans"),
        ({"text": "Fine.", "spans": [{"category": "Fees", "start": 0}]}, "spans"),
        ({"text": "Fine.", "spans": [{"category": "Fees", "start": 0, "end": 6}]}, "spans"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, row: dict[str, Any], field: str) -> None:
    path = write(tmp_path / "bad.jsonl.gz", [{"text": "Fine.", "spans": []}, row])
    with pytest.raises(DataError, match=rf"bad\.jsonl\.gz:2: field '{field}'"):
        read_contracts(path)

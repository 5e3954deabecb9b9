"""Summaries of tiny engines beside the baselines: the record, the page, and what bad input gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.card import write_card
from engines.baselines import BASELINES
from engines.data import read_rows
from engines.errors import DataError, EngineError
from engines.evaluate_summarizer import evaluate_summarizer, find_data, summarizer_sections
from engines.html_report import write_page
from engines.rouge import read_references, rouge_of, rouge_scorer
from engines.summarizer import Summarizer, ranked
from tests.engines.tiny_summarizer import SENTENCES, write_data, write_rows, write_summarizer
from tests.tiny import card


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("summaries")
    write_summarizer(root, "vectors")
    write_summarizer(root, "marks", output="logits")
    write_data(root / "data")
    return root


@pytest.fixture(scope="module")
def record(folder: Path) -> dict[str, Any]:
    return evaluate_summarizer(
        folder / "vectors" / "1", folder / "data", against=[folder / "marks" / "1"]
    )


def test_every_ranking_has_figures_of_both_kinds(record: dict[str, Any]) -> None:
    assert [engine["name"] for engine in record["engines"]] == ["vectors", "marks"]
    for found in (record["marked"], record["rouge"]):
        assert list(found["rankings"]) == ["vectors", "marks", *BASELINES]
    assert record["marked"]["passages"] == 12
    assert record["marked"]["documents"] == 4
    assert record["rouge"]["documents"] == 3
    assert json.loads(json.dumps(record))["marked"]["data"] == "contracts/test.jsonl.gz"


def test_first_sentences_touch_the_passages_that_stand_first(record: dict[str, Any]) -> None:
    """One sentence of seven is the summary; the fee begins the first contract, the law the third.
    Expiration dates, a third of the passages, begin none."""
    figures = record["marked"]["rankings"]["first sentences"]
    assert figures["share"] == pytest.approx(2 / 12)
    assert figures["share_without_expiration_dates"] == pytest.approx(2 / 8)
    assert figures["mean_sentences"] == 1


def test_the_lead_is_the_difference_to_the_first(record: dict[str, Any]) -> None:
    rankings = record["marked"]["rankings"]
    first = rankings["vectors"]
    assert first["lead"] == 0
    for figures in rankings.values():
        assert figures["lead"] == pytest.approx(first["share"] - figures["share"])
        low, high = figures["lead_interval"]
        assert low <= figures["lead"] <= high


def test_rouge_is_worked_out_by_hand(folder: Path) -> None:
    """ "the buyer pay the fee within ten day" has six stems of the reference's seven, in order:
    F1 of 2 * 6 / (8 + 7)."""
    path = folder / "data" / "legal_summaries" / "validation.jsonl.gz"
    reference = read_references(path)[0]
    lead = ranked(reference.sentences, lambda texts: (np.array([1.0, 0.0], np.float32), None))
    found = rouge_of([reference], [lead], 1, rouge_scorer())
    assert found.f1[0][0] == pytest.approx(12 / 15)
    assert found.f1[0][2] == pytest.approx(12 / 15)
    assert found.words == [8]


def test_scores_do_not_depend_on_the_other_sentences(folder: Path) -> None:
    engine = Summarizer(folder / "marks" / "1")
    together, _ = engine.rank(SENTENCES)
    alone = [engine.rank([sentence])[0][0] for sentence in SENTENCES]
    assert together == pytest.approx(np.array(alone), abs=1e-5)
    assert ((together > 0) & (together < 1)).all()


def test_the_page_holds_the_figures(record: dict[str, Any], tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", "vectors", None, summarizer_sections(record))
    page = path.read_text(encoding="utf-8")
    for name, figures in record["marked"]["rankings"].items():
        assert re.search(rf"<td>{name}</td><td>{figures['share']:.3f} \(", page)
    for figures in record["rouge"]["rankings"].values():
        assert f"<td>{100 * figures['rouge2']:.1f} (" in page
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org", "")


def test_a_file_is_told_by_what_its_rows_have(folder: Path, tmp_path: Path) -> None:
    rows = list(read_rows(folder / "data" / "legal_summaries" / "validation.jsonl.gz"))
    own = write_rows(tmp_path / "own.jsonl", rows)
    found = evaluate_summarizer(folder / "vectors" / "1", own)
    assert found["marked"] is None
    assert found["rouge"]["documents"] == 3
    assert [section.title for section in summarizer_sections(found)] == ["ROUGE"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "Fine."}], "neither field 'spans'"),
        ([], "neither field 'spans'"),
        ([{"text": "Fine.", "summary": "a"}, {"text": "", "summary": "a"}], ":2: field 'text'"),
        ([{"text": "Fine.", "summary": 7}], ":1: field 'summary'"),
        ([{"text": "Fine.", "spans": []}], "no marked passage"),
        ([{"text": "Fine.", "spans": [{"start": 0}]}], ":1: field 'spans'"),
    ],
)
def test_bad_data_is_named(
    folder: Path, tmp_path: Path, rows: list[dict[str, Any]], message: str
) -> None:
    path = write_rows(tmp_path / "bad.jsonl", rows)
    with pytest.raises(DataError, match=message):
        evaluate_summarizer(folder / "vectors" / "1", path)


def test_an_empty_data_folder_says_what_it_should_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"contracts/test\.jsonl\.gz"):
        find_data(tmp_path, "test")


def test_engines_that_cannot_summarize_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no card that can be read"):
        Summarizer(tmp_path)
    version = write_summarizer(tmp_path, "other")
    write_card(card("other"), version)
    with pytest.raises(EngineError, match="one that summarizes"):
        Summarizer(version)
    one = folder / "vectors" / "1"
    with pytest.raises(EngineError, match="named twice"):
        evaluate_summarizer(one, folder / "data", against=[one, one])

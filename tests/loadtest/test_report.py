"""The report is read as a browser reads it: parsed, with every address it names."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from loadtest.percentiles import percentile
from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.report import counts_rows, machine_settings, write_report
from loadtest.verdict import Verdict, judge
from tests.loadtest.hand_made import hand_made_records, hand_made_verdict

PLAN = Plan(rate_per_second=100.0, duration_seconds=8.0, warm_up_seconds=2.0, scenario="mixed")
ADDRESSES = {"href", "xlink:href", "src", "srcset", "action", "data", "poster"}


class Page(HTMLParser):
    """Elements, identifiers, addresses and visible text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.labelled_by: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ADDRESSES:
                self.addresses.append(value or "")
            elif name == "aria-labelledby":
                self.labelled_by.append(value or "")
            assert not name.startswith("on"), f"{tag} has a script in {name}"

    def handle_data(self, data: str) -> None:
        self.text += data


def mixed_records() -> Records:
    """1,000 requests over 10 s: 1 in 10 late, refused, failed or timed out, and some bulk ones."""
    outcome = ([OK] * 97 + [REFUSED, ERROR, TIMEOUT]) * 10
    latency_ms = [float(10 + turn % 40) for turn in range(1000)]
    latency_ms[::20] = [120.0] * 50
    return hand_made_records(
        1000,
        latency_ms=latency_ms,
        lag_ms=0.3,
        outcome=outcome,
        kind=[0, 0, 0, 1] * 250,
        kinds=("review", "contract"),
    )


def write(
    folder: Path, records: Records, plan: Plan = PLAN, verdict: Verdict | None = None
) -> Page:
    path = write_report(
        folder, plan, records, verdict or judge(records, plan), {"generated on": "a lab"}
    )
    return Page(path.read_text(encoding="utf-8"))


def test_the_report_has_verdict_curve_counts_timeline_and_settings(tmp_path: Path) -> None:
    records = mixed_records()
    page = write(tmp_path / "new" / "folder", records)
    verdict = judge(records, PLAN)
    assert verdict.line() in page.text
    assert verdict.reasons[0] in page.text
    assert page.tags.count("svg") == 2
    headings = ("Latency curve", "Counts", "Timeline", "Settings")
    curves = (
        "answered, from the scheduled send",
        "answered, from the actual send",
        "budget, 50 ms",
    )
    panels = ("Latency of answers", "Rates", "Lag of the generator", "requests/s", "percentile, %")
    rows = ("100 requests/s", "warm up", "10000 ms", "a lab", "contract (bulk)", "no answer")
    for part in (*headings, *curves, *panels, *rows, "99.9", "offered", "refused", "failed"):
        assert part in page.text, part


def test_it_needs_no_script_and_no_network(tmp_path: Path) -> None:
    page = write(tmp_path, mixed_records())
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert page.addresses
    assert all(address.startswith("#") for address in page.addresses)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "@import" not in html
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)\)", html))


def test_its_identifiers_are_its_own_and_lead_somewhere(tmp_path: Path) -> None:
    page = write(tmp_path, mixed_records())
    assert len(page.ids) == len(set(page.ids))
    wanted = {address.removeprefix("#") for address in page.addresses} | set(page.labelled_by)
    assert wanted <= set(page.ids)
    assert len(page.labelled_by) == 2


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, mixed_records())
    one, two = ((tmp_path / name / "report.html").read_bytes() for name in ("one", "two"))
    assert one == two


def test_what_others_wrote_is_shown_as_text(tmp_path: Path) -> None:
    verdict = hand_made_verdict("FAIL", reasons=["<script>alert(1)</script> & more"])
    plan = Plan(host="http://localhost:1/<img src=x>")
    page = write(tmp_path, mixed_records(), plan, verdict)
    assert "<script>alert(1)</script> & more" in page.text
    assert "http://localhost:1/<img src=x>" in page.text
    assert not {"script", "img"} & set(page.tags)


@pytest.mark.parametrize("outcome", ["PASS", "FAIL", "INVALID", "INCONCLUSIVE"])
def test_every_verdict_is_said_in_words(tmp_path: Path, outcome: str) -> None:
    page = write(tmp_path, mixed_records(), verdict=hand_made_verdict(outcome))
    assert re.search(rf"{outcome}: [a-z].{{20,}}\.", page.text)


@pytest.mark.parametrize(
    "records",
    [
        hand_made_records(0),
        hand_made_records(1, rate_per_second=0.3),
        hand_made_records(500, outcome=REFUSED),
        hand_made_records(500, outcome=ERROR, latency_ms=0),
        hand_made_records(50, kinds=("contract",), latency_ms=4000),
    ],
    ids=["none", "one", "all refused", "all broken at once", "bulk only"],
)
def test_odd_runs_have_a_report_too(tmp_path: Path, records: Records) -> None:
    page = write(tmp_path, records, verdict=hand_made_verdict("INCONCLUSIVE"))
    assert page.tags.count("svg") == 2


def test_a_run_of_hours_has_a_timeline_of_bounded_size(tmp_path: Path) -> None:
    plan = Plan(rate_per_second=0.1, duration_seconds=40_000)
    write(tmp_path, hand_made_records(4000, rate_per_second=0.1), plan)
    assert (tmp_path / "report.html").stat().st_size < 500_000


def test_counts_leave_the_warm_up_out_and_bulk_is_never_late() -> None:
    rows = counts_rows(mixed_records().measured(2.0), budget_ms=50)
    review, contract = (dict(zip(range(11), row, strict=False)) for row in rows)
    assert [review[0], contract[0]] == ["review", "contract (bulk)"]
    assert int(review[1]) + int(contract[1]) == 800
    assert int(review[3]) == 40
    assert contract[3] == "0"
    for row in (review, contract):
        assert int(row[1]) == sum(int(row[column]) for column in (2, 3, 4, 5, 6))
    assert review[9] == "120.0"


def test_the_machine_is_told_without_its_name() -> None:
    told = " ".join(machine_settings().values())
    assert "cores usable" in told
    assert "Python 3" in told


@pytest.mark.parametrize(
    ("count", "misses", "p99"), [(100, 1, 99.0), (100, 2, np.inf), (1000, 10, 990.0), (1, 0, 1.0)]
)
def test_percentiles_are_values_that_were_seen(count: int, misses: int, p99: float) -> None:
    values = np.arange(1, count + 1, dtype=np.float64)
    values[count - misses :] = np.inf
    assert percentile(values[::-1].copy(), 99) == p99
    assert percentile(values, 100) == values[-1]
    assert np.isnan(percentile(values[:0], 99))


@pytest.mark.parametrize(("texts", "named"), [(None, "mixed"), ("clause", "clause")])
def test_the_title_names_what_was_sent(tmp_path: Path, texts: str | None, named: str) -> None:
    page = write(tmp_path, mixed_records(), replace(PLAN, texts=texts))
    assert f"Load test: {named} at 100 requests/s" in page.text

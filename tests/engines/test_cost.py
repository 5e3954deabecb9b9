"""Costs by machine, worked out by hand; and what is said where a figure or a price is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.card import CARD_FILE, Capacity, Hardware, read_card, write_card
from engines.cost import CostAsked, find_costs
from engines.cost_record import CostReport
from engines.cost_table import columns, groups
from engines.errors import EngineError, PriceError
from tests.engines.measured_cards import AMD, INTEL, POINTS, WAY, put, timed, tuned
from tests.engines.test_price_list import write

PRICES = (
    "intel,*8488C*,8,0.36,USD,2026-01-02,a list",
    "amd,AMD EPYC 9R14,8,0.18,USD,2026-01-02,a list",
    "spare,NVIDIA L4,,0.8,USD,2026-01-02,a list",
)


def costs(folder: Path, *rates: float, cards: tuple[Path, ...] = ()) -> CostReport:
    prices = write(folder, *PRICES)
    return find_costs(CostAsked(folder / "models", cards, prices, rates))


def test_by_hand(tmp_path: Path) -> None:
    """1,000 texts/s under 25 ms are 400 requests/s, 1.44 million an hour for 0.36."""
    put(tuned(INTEL), tmp_path / "models")
    report = costs(tmp_path, 1000.0, 10.0)
    (row,) = report.rows
    assert (row.model, row.version, row.machine) == ("sentiment", "1", "intel")
    figure = row.figure
    assert (figure.basis, figure.per_second, figure.p99_ms) == ("call", 1000.0, 20.0)
    assert (figure.texts, figure.measured_at) == (
        "25:0.7,128:0.3 (tokens:weight)",
        "2026-01-02T00:00:00Z",
    )
    assert figure.way == "onnxruntime INT8 4x2, batches of 4"
    assert row.requests_per_second == pytest.approx(400)
    assert row.per_million == pytest.approx(0.25)
    assert row.per_million_as_planned == pytest.approx(0.25 / 0.6)
    much, little = row.planned
    # 240/s of each as planned: five; and two at least.
    assert (much.replicas, little.replicas) == (5, 2)
    assert much.per_million == pytest.approx(5 * 0.36 / 3.6)
    assert little.per_million == pytest.approx(2 * 0.36 / 0.036)
    assert (report.currency, report.prices_of) == ("USD", "2026-01-02")


def test_machines_stand_side_by_side_the_cheapest_first(tmp_path: Path) -> None:
    put(tuned(INTEL), tmp_path / "models")
    put(tuned(AMD, [(800.0, 5.0)]), tmp_path / "elsewhere" / "amd")
    report = costs(tmp_path, cards=(tmp_path / "elsewhere",))
    assert [row.machine for row in report.rows] == ["amd", "intel"]
    assert [row.requests_per_second for row in report.rows] == pytest.approx([320, 400])
    assert len(list(groups(report))) == 1
    assert report.unknown == ["no card was measured on spare"]
    assert [price.machine for price in report.prices if not price.has_card] == ["spare"]


def test_figures_of_two_kinds_or_texts_are_never_side_by_side(tmp_path: Path) -> None:
    put(tuned(INTEL), tmp_path / "models")
    put(tuned(INTEL, name="topics", lengths="256:1"), tmp_path / "models")
    put(timed(AMD, "general"), tmp_path / "models")
    report = costs(tmp_path)
    found = list(groups(report))
    assert [(group.basis, group.texts, len(group.rows)) for group in found] == [
        ("call", "256:1 (tokens:weight)", 1),
        ("call", "25:0.7,128:0.3 (tokens:weight)", 1),
        ("thread", "32 tokens", 1),
    ]
    cells = {column.heading: column.cell(found[2].rows[0]) for column in columns(report, found[2])}
    # 300 texts/s in one thread: 120 requests/s at least, 0.18 for 432,000 of them at most.
    assert (cells["requests/s"], cells["USD a million"]) == ("≥\u00a0120", "≤\u00a00.417")
    bounded = {c.heading: c.cell(found[1].rows[0]) for c in columns(report, found[1])}
    assert (bounded["requests/s"], bounded["USD a million"]) == ("400", "0.250")
    (missing,) = [line for line in report.unknown if line.startswith("general 1")]
    assert "it was not tuned" in missing
    assert "`sub50 engines tune general`" in missing
    assert "one thread" in missing


def test_a_rate_measured_over_http_is_taken_as_it_is(tmp_path: Path) -> None:
    """360 requests/s are 1.296 million an hour, with no share of anything."""
    capacity = Capacity(
        requests_per_second=360.0, p99_ms=41.0, budget_ms=50.0, texts="sentence",
        models=["sentiment"], limited_by="service", way=WAY.label, hardware=INTEL,
        noted_at="2026-01-03T00:00:00Z",
    )  # fmt: skip
    put(tuned(INTEL).model_copy(update={"capacities": [capacity]}), tmp_path / "models")
    first, second = groups(costs(tmp_path))
    assert (first.title, second.basis) == (
        "Over HTTP, P99 under 50 ms: sentence to sentiment",
        "call",
    )
    (row,) = first.rows
    assert (row.requests_per_second, row.figure.p99_ms) == (360.0, 41.0)
    assert row.per_million == pytest.approx(0.36 / 1.296)


def test_nothing_under_the_bound_is_no_bounded_figure(tmp_path: Path) -> None:
    put(tuned(INTEL, [(rate, p99_ms + 25) for rate, p99_ms in POINTS]), tmp_path / "models")
    report = costs(tmp_path)
    assert [row.figure.basis for row in report.rows] == ["thread"]
    said = "no batch of onnxruntime INT8 4x2 keeps the P99 of a call under 25 ms"
    assert said in report.unknown[0]


def test_what_no_price_names_is_said_and_not_guessed(tmp_path: Path) -> None:
    two = AMD.model_copy(update={"cores": 2})
    put(tuned(two), tmp_path / "models")
    old = tuned(None, name="topics")
    assert old.tuning is not None
    machine = "Intel(R) Xeon(R) Platinum 8488C, Linux-6.1"
    tuning = old.tuning.model_copy(update={"machine": machine})
    put(old.model_copy(update={"tuning": tuning}), tmp_path / "models")
    report = costs(tmp_path, 1000.0)
    for row in report.rows:
        assert (row.machine, row.per_million, row.planned[0].per_million) == (None, None, None)
        assert row.planned[0].replicas == 5
    found = [row.figure.hardware for row in report.rows]
    assert found == [two, Hardware(processor=INTEL.processor)]
    said = "\n".join(report.unknown)
    assert "has no price of AMD EPYC 9R14, 2 cores: give it a line" in said
    assert f"has no price of {INTEL.processor}, cores not known" in said
    assert "no card was measured on intel, amd, spare" in said


def test_two_prices_for_a_card_are_an_error(tmp_path: Path) -> None:
    put(tuned(INTEL), tmp_path / "models")
    prices = write(tmp_path, *PRICES, "twice,intel*,,1,USD,2026-01-02,a list")
    with pytest.raises(PriceError, match=r"prices\.csv:2 and .*prices\.csv:5"):
        find_costs(CostAsked(tmp_path / "models", prices=prices))


def test_cards_that_cannot_be_read_are_left_out_by_name(tmp_path: Path) -> None:
    put(tuned(INTEL), tmp_path / "models")
    broken = put(tuned(INTEL, name="topics"), tmp_path / "models")
    broken.write_text('{"name": 3}')
    odd = put(tuned(INTEL, name="general"), tmp_path / "models")
    found = read_card(odd.parent)
    assert found.tuning is not None
    points = [{**each, "points": [{"batch": "many"}]} for each in found.tuning.candidates]
    tuning = found.tuning.model_copy(update={"candidates": points})
    write_card(found.model_copy(update={"tuning": tuning}), odd.parent)
    bare = put(timed(INTEL, "contracts").model_copy(update={"timings": []}), tmp_path / "models")
    report = costs(tmp_path)
    assert [(row.model, row.figure.basis) for row in report.rows] == [
        ("sentiment", "call"),
        ("general", "thread"),
    ]
    said = "\n".join(report.unknown)
    assert f"{broken} is left out, it is no card: name: " in said
    assert f"general 1 ({odd}): its tuning cannot be read: 0.batch: " in said
    assert f"contracts 1 ({bare})" in said
    assert "nothing is known of its speed" in said


def test_a_tuning_without_its_winner_has_no_figure(tmp_path: Path) -> None:
    path = put(tuned(INTEL), tmp_path / "models")
    found = read_card(path.parent)
    assert found.tuning is not None
    tuning = found.tuning.model_copy(update={"instances": 3})
    write_card(found.model_copy(update={"tuning": tuning}), path.parent)
    report = costs(tmp_path)
    assert [row.figure.basis for row in report.rows] == ["thread"]
    assert "its tuning has no figures of onnxruntime INT8 4x3" in report.unknown[0]


def test_a_card_counts_once_however_it_is_reached(tmp_path: Path) -> None:
    path = put(tuned(INTEL), tmp_path / "models")
    (tmp_path / "link").symlink_to(tmp_path / "models")
    hidden = tmp_path / "models" / ".partial" / "1"
    hidden.mkdir(parents=True)
    write_card(tuned(INTEL), hidden)
    folders = (tmp_path / "models", path.parent, path.parent.parent, tmp_path / "link")
    (row,) = costs(tmp_path, cards=folders).rows
    assert row.card == str(path)


def test_where_there_are_no_cards_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no card in .*sub50 engines build.*--cards"):
        costs(tmp_path)
    with pytest.raises(EngineError, match=r"--cards .*nowhere: there is no such folder"):
        costs(tmp_path, cards=(tmp_path / "nowhere",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match=f"--cards .*empty: there is no {CARD_FILE} in it"):
        costs(tmp_path, cards=(tmp_path / "empty",))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_over_0(tmp_path: Path, rate: float) -> None:
    with pytest.raises(EngineError, match=r"--rate .*: it has to be a number over 0"):
        costs(tmp_path, rate)

"""`sub50 engines cost` from the command line: the tables, the JSON, the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from engines.cost_record import CostReport
from engines.cost_table import amount
from engines.price_list import COLUMNS, DEFAULT_PRICES
from service.cli import app
from tests.engines.measured_cards import AMD, INTEL, put, timed, tuned
from tests.engines.test_cost import PRICES
from tests.engines.test_price_list import ROOT, write

runner = CliRunner()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two tuned on one machine, one on another without a price, one not tuned."""
    models = tmp_path / "models"
    put(tuned(INTEL), models)
    put(tuned(INTEL, [(500.0, 9.0)], name="topics"), models)
    put(tuned(AMD.model_copy(update={"cores": 2}), name="general"), models)
    put(timed(AMD, "contracts"), models)
    return models


def cost(repository: Path, *options: str) -> Result:
    return runner.invoke(app, ["engines", "cost", "--repository", str(repository), *options])


def test_the_terminal_has_tables_and_what_is_not_known(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    prices = write(tmp_path, *PRICES)
    done = cost(repository, "--prices", str(prices), "--rate", "1000", "--rate", "10")
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert "Engine alone, P99 of a call under 25 ms: 25:0.7,128:0.3 (tokens:weight)" in said
    assert "Engine alone, one thread, P99 not bounded: 32 tokens" in said
    (line,) = [line for line in said.splitlines() if "sentiment 1" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "intel", "sentiment 1", "400", "0.250", "0.417", "5", "2",
    ]  # fmt: skip
    (below,) = [line for line in said.splitlines() if "8488C" in line and "0.500" in line]
    assert "20.00" in below
    assert "1,000/s:" in said
    assert f"Prices: {prices}, of 2026-01-02." in said
    assert "Not known: contracts 1" in said
    assert "no price of AMD EPYC 9R14, 2 cores" in said


def test_json_is_the_record(repository: Path, tmp_path: Path) -> None:
    prices = write(tmp_path, *PRICES)
    done = cost(repository, "--prices", str(prices), "--load-share", "0.5", "--json")
    assert done.exit_code == 0, done.output
    report = CostReport.model_validate(json.loads(done.stdout))
    assert report.load_share == 0.5
    assert report.rows[0].requests_per_second == pytest.approx(500)
    assert {row.model for row in report.rows} == {"sentiment", "topics", "general", "contracts"}


def test_without_a_list_the_one_that_comes_along_is_taken(repository: Path) -> None:
    report = CostReport.model_validate(json.loads(cost(repository, "--json").stdout))
    assert report.prices_file == str(DEFAULT_PRICES)
    assert report.rows[0].machine == "AWS c7i.2xlarge"


def test_the_page_names_the_list_and_its_date(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    page = tmp_path / "made" / "cost.html"
    prices = write(tmp_path, *PRICES)
    done = cost(repository, "--prices", str(prices), "--rate", "1000", "--html", str(page))
    assert done.exit_code == 0, done.output
    text = page.read_text("utf-8")
    assert f"<strong>Prices: {prices}, of 2026-01-02, in USD.</strong>" in text
    assert "sentiment 1 on intel costs least, 0.417 USD for a million requests" in text
    # Rates and costs of what is bounded; one thread gets no bars.
    assert text.count("<svg") == 2
    ids = [part.partition('"')[0] for part in text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))
    assert "intel: topics 1" in text
    assert "AMD EPYC 9R14: general 1" in text
    assert "<h2>What is not known</h2>" in text
    assert "<td>≤\u00a00.417</td>" in text
    assert "src=" not in text
    assert "<script" not in text


def test_equal_figures_give_equal_pages(repository: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        assert cost(repository, "--html", str(tmp_path / f"{name}.html")).exit_code == 0
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_what_is_wrong_is_a_line(repository: Path, tmp_path: Path) -> None:
    prices = write(tmp_path, "big,*,8,-1,USD,2026-01-02,a list")
    for options, said in (
        (("--prices", str(prices)), "prices.csv:2: field 'price_per_hour' is '-1'"),
        (("--prices", str(tmp_path / "no.csv")), "no price list at"),
        (("--rate", "0"), "--rate 0: it has to be a number over 0"),
        (("--html", str(tmp_path)), "is a folder; name a file"),
        (("--cards", str(tmp_path / "no")), "there is no such folder"),
    ):
        done = cost(repository, *options)
        assert done.exit_code == 1
        assert said in done.stderr
        assert not done.stdout


def test_without_matplotlib_it_is_said_how_to_get_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    done = cost(repository, "--html", str(tmp_path / "cost.html"))
    assert done.exit_code == 1
    assert "pip install 'sub50[evaluate]'" in done.stderr
    assert cost(repository).exit_code == 0


def test_amounts_have_digits_enough() -> None:
    found = [amount(value) for value in (None, 1234.5, 1.0, 0.25, 0.0123, 0.00123)]
    assert found == ["–", "1,234.50", "1.00", "0.250", "0.012", "0.0012"]


def test_the_documentation_has_every_column_and_option() -> None:
    page = (ROOT / "docs" / "cost.md").read_text("utf-8")
    for name in COLUMNS:
        assert f"| `{name}` |" in page
    for option in ("--prices", "--cards", "--rate", "--html", "--load-share", "--json"):
        assert option in page

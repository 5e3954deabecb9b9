"""The list of prices: what its user may write, and what is told where it is wrong."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

from core.card import GpuRecord, Hardware
from engines.errors import DataError, PriceError
from engines.price_list import (
    COLUMNS,
    DEFAULT_PRICES,
    dates_of,
    described,
    price_of,
    read_prices,
)
from tests.engines.measured_cards import AMD, INTEL

ROOT = Path(__file__).parent.parent.parent
HEAD = ",".join(COLUMNS)
GOOD = "big,*8488C*,8,0.36,USD,2026-01-02,a list"


def write(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "prices.csv"
    path.write_text("\n".join((head, *lines)) + "\n", encoding="utf-8")
    return path


def test_a_line_is_a_price(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "any,amd epyc*,,1,USD,2026-02-03,another")
    big, small = read_prices(path)
    assert (big.machine, big.cores, big.price_per_hour, big.currency) == ("big", 8, 0.36, "USD")
    assert (big.as_of, big.source, big.line) == (date(2026, 1, 2), "a list", 2)
    assert (small.cores, small.line) == (None, 3)
    assert dates_of([big]) == "2026-01-02"
    assert dates_of([small, big]) == "2026-01-02 to 2026-02-03"


def test_a_price_is_found_by_name_and_cores(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "any,amd epyc*,,1,USD,2026-02-03,another")
    prices = read_prices(path)
    found = price_of(INTEL, prices, path)
    assert found is not None
    assert found.machine == "big"
    assert price_of(INTEL.model_copy(update={"cores": 4}), prices, path) is None
    assert price_of(INTEL.model_copy(update={"cores": None}), prices, path) is None
    # Case does not matter, nor do cores where none are named.
    for cores in (2, 8, None):
        found = price_of(AMD.model_copy(update={"cores": cores}), prices, path)
        assert found is not None
        assert found.machine == "any"


def test_a_gpu_is_what_is_paid_for(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "gpu,NVIDIA L4,,0.8,USD,2026-01-02,a list")
    on_gpu = INTEL.model_copy(update={"gpu": GpuRecord(name="NVIDIA L4")})
    found = price_of(on_gpu, read_prices(path), path)
    assert found is not None
    assert found.machine == "gpu"
    assert described(on_gpu) == "NVIDIA L4, 8 cores"
    assert described(Hardware(processor="x", cores=1)) == "x, 1 core"
    assert described(Hardware(processor="x")) == "x, cores not known"


def test_two_prices_of_one_machine_are_named_by_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD, "other,intel*,,1,USD,2026-01-02,a list")
    prices = read_prices(path)
    said = r"prices\.csv:2 and .*prices\.csv:3: fields 'hardware' and 'cores' of both, big and"
    with pytest.raises(PriceError, match=said):
        price_of(INTEL, prices, path)
    assert price_of(AMD, prices, path) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("big,*,8,-1,USD,2026-01-02,a", r":3: field 'price_per_hour' is '-1', not a number over 0"),
        ("big,*,8,0,USD,2026-01-02,a", r":3: field 'price_per_hour' is '0', not a number over 0"),
        ("big,*,8,nan,USD,2026-01-02,a", r":3: field 'price_per_hour' is 'nan'"),
        ("big,*,8,inf,USD,2026-01-02,a", r":3: field 'price_per_hour' is 'inf'"),
        ("big,*,8,$1,USD,2026-01-02,a", r":3: field 'price_per_hour' is '\$1'"),
        ('big,*,8,"0,36",USD,2026-01-02,a', r":3: field 'price_per_hour' is '0,36', not a number"),
        ("big,*,8,,USD,2026-01-02,a", r":3: field 'price_per_hour' is blank"),
        ("big,*,many,1,USD,2026-01-02,a", r":3: field 'cores' is 'many', not a whole number"),
        ("big,*,0,1,USD,2026-01-02,a", r":3: field 'cores' is '0', not a whole number of at least"),
        ("big,*,8,1,USD,January,a", r":3: field 'as_of' is 'January', not a day, such as"),
        ("big,*,8,1,EUR,2026-01-02,a", r":3: field 'currency' is 'EUR', and 'USD' on line 2"),
        (" ,*,8,1,USD,2026-01-02,a", r":3: field 'machine' is blank"),
        ("big,,8,1,USD,2026-01-02,a", r":3: field 'hardware' is blank"),
        ("big,*,8,1,USD,2026-01-02", r":3: field 'source' is blank"),
        ("small,*,2,1,USD,2026-01-02,a", r":3: field 'machine' is 'small', as on line 2"),
        ("big,X*,2,1,USD,2026-01-02,a", r":3: fields 'hardware' and 'cores' are those of line 2"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_field(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path, "small,x*,2,0.1,USD,2026-01-02,a", line)
    with pytest.raises(PriceError, match=said):
        read_prices(path)


def test_columns_are_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match=r"prices\.csv:1: unknown column 'region'; the columns"):
        read_prices(write(tmp_path, GOOD + ",us-east-1", head=HEAD + ",region"))
    with pytest.raises(DataError, match=r"prices\.csv:1: no column price_per_hour; those there"):
        read_prices(write(tmp_path, GOOD, head=HEAD.replace("price_per_hour", "price")))
    with pytest.raises(DataError, match=r"prices\.csv:2: more fields than columns"):
        read_prices(write(tmp_path, GOOD + ",more"))


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(PriceError, match=r"no price list at .*none\.csv; name one with --prices"):
        read_prices(tmp_path / "none.csv")
    with pytest.raises(PriceError, match="has no prices"):
        read_prices(write(tmp_path))
    (tmp_path / "prices.toml").write_text("")
    with pytest.raises(PriceError, match=r"its name ends in \.csv"):
        read_prices(tmp_path / "prices.toml")
    (tmp_path / "prices.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="is not CSV in UTF-8"):
        read_prices(tmp_path / "prices.csv")


def test_the_list_that_comes_along_can_be_used_and_ships() -> None:
    prices = read_prices(DEFAULT_PRICES)
    assert {"AWS c7i.2xlarge", "AWS c7a.2xlarge"} <= {price.machine for price in prices}
    for hardware in (INTEL, AMD):
        assert price_of(hardware, prices, DEFAULT_PRICES) is not None
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert DEFAULT_PRICES.name in project["tool"]["setuptools"]["package-data"]["engines"]

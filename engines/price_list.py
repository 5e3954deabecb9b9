"""The list of what machines cost an hour: a CSV file that its user edits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from core.card import Hardware, Record
from engines.errors import PriceError
from engines.labelled_file import rows_of

DEFAULT_PRICES = Path(__file__).resolve().parent / "machine_prices.csv"
COLUMNS = ("machine", "hardware", "cores", "price_per_hour", "currency", "as_of", "source")
SUFFIX = ".csv"


class MachinePrice(Record):
    """A line of the list: what a machine to hire costs, and how it is known by its hardware.

    `hardware` is a pattern with `*` and `?`, in which case does not matter; `cores` None stands for
    any number. `line` is where it stands in the file.
    """

    machine: str
    hardware: str
    cores: int | None
    price_per_hour: float
    currency: str
    as_of: date
    source: str
    line: int

    def is_of(self, hardware: Hardware) -> bool:
        """Whether that hardware is such a machine."""
        named = fnmatchcase(hardware.name.casefold(), self.hardware.casefold())
        return named and self.cores in (None, hardware.cores)


def read_prices(path: Path) -> list[MachinePrice]:
    """Read a price list.

    Raises:
        PriceError: there is no such file, it has no prices, or a field is wrong; names the line.
        DataError: it is not CSV, or lacks a column.
    """
    if not path.is_file():
        raise PriceError(
            f"no price list at {path}; name one with --prices, such as a copy of {DEFAULT_PRICES}"
        )
    if path.suffix != SUFFIX:
        raise PriceError(f"{path}: a price list is CSV, and its name ends in {SUFFIX}")
    prices: list[MachinePrice] = []
    for line, row in rows_of(path, COLUMNS):
        price = _price(row, line, path)
        _require_fitting(price, prices, path)
        prices.append(price)
    if not prices:
        raise PriceError(f"{path} has no prices; give each machine a line")
    return prices


def price_of(hardware: Hardware, prices: Sequence[MachinePrice], path: Path) -> MachinePrice | None:
    """The price of that hardware; None where the list has none.

    Args:
        hardware: what figures were read on.
        prices: of the list.
        path: of the list, for the error.

    Raises:
        PriceError: it has two.
    """
    found = [price for price in prices if price.is_of(hardware)]
    if len(found) > 1:
        first, second = found[:2]
        raise PriceError(
            f"{path}:{first.line} and {path}:{second.line}: fields 'hardware' and 'cores' of both, "
            f"{first.machine} and {second.machine}, match {described(hardware)}; narrow one of "
            "them, or take it out"
        )
    return found[0] if found else None


def dates_of(prices: Sequence[MachinePrice]) -> str:
    """When the prices were looked up: a day, or the first and the last."""
    days = sorted({price.as_of.isoformat() for price in prices})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def described(hardware: Hardware) -> str:
    """Hardware in a few words, as prices are found by it."""
    if hardware.cores is None:
        return f"{hardware.name}, cores not known"
    return f"{hardware.name}, {hardware.cores} core{'s' if hardware.cores > 1 else ''}"


def _price(row: dict[str, Any], line: int, path: Path) -> MachinePrice:
    unknown = [name for name in row if name not in COLUMNS]
    if unknown:
        raise PriceError(
            f"{path}:1: unknown column {unknown[0]!r}; the columns are {', '.join(COLUMNS)}"
        )
    fields = _Fields(row, f"{path}:{line}")
    return MachinePrice(
        machine=fields.text("machine"),
        hardware=fields.text("hardware"),
        cores=fields.cores("cores"),
        price_per_hour=fields.price("price_per_hour"),
        currency=fields.text("currency"),
        as_of=fields.day("as_of"),
        source=fields.text("source"),
        line=line,
    )


def _require_fitting(price: MachinePrice, before: Sequence[MachinePrice], path: Path) -> None:
    """Raise PriceError unless the price can stand in one list with those before it."""
    where = f"{path}:{price.line}"
    for other in before:
        if price.machine == other.machine:
            raise PriceError(
                f"{where}: field 'machine' is {price.machine!r}, as on line {other.line}"
            )
        if price.currency != other.currency:
            raise PriceError(
                f"{where}: field 'currency' is {price.currency!r}, and {other.currency!r} on line "
                f"{other.line}; a list has one currency, so that its prices can be compared"
            )
        same = price.hardware.casefold() == other.hardware.casefold()
        if same and price.cores == other.cores:
            raise PriceError(
                f"{where}: fields 'hardware' and 'cores' are those of line {other.line}, so that "
                "one machine would have two prices; take one of them out"
            )


class _Fields:
    """The fields of one line, each read as what it has to be."""

    def __init__(self, row: dict[str, Any], where: str) -> None:
        self._row, self._where = row, where

    def text(self, name: str) -> str:
        found = (self._row.get(name) or "").strip()
        if not found:
            raise PriceError(f"{self._where}: field {name!r} is blank")
        return found

    def cores(self, name: str) -> int | None:
        if not (self._row.get(name) or "").strip():
            return None
        found = self.text(name)
        if not found.isdecimal() or int(found) < 1:
            raise self._wrong(name, "a whole number of at least 1, or nothing for any number")
        return int(found)

    def price(self, name: str) -> float:
        try:
            found = float(self.text(name))
        except ValueError:
            found = math.nan
        if not 0 < found < math.inf:
            raise self._wrong(name, "a number over 0, with a point before its decimals")
        return found

    def day(self, name: str) -> date:
        try:
            return date.fromisoformat(self.text(name))
        except ValueError:
            raise self._wrong(name, "a day, such as 2026-01-31") from None

    def _wrong(self, name: str, wanted: str) -> PriceError:
        return PriceError(f"{self._where}: field {name!r} is {self._row[name]!r}, not {wanted}")

"""What `sub50 engines cost` finds: figures of cards, each with the price of its machine."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.card import Hardware, Record

# What a figure says, the most telling first; figures of two kinds are never set side by side.
Basis = Literal["http", "call", "thread"]
BASES: tuple[Basis, ...] = ("http", "call", "thread")


class Figure(Record):
    """A throughput that a card has, and what it is of.

    Attributes:
        basis: `http`: requests over HTTP, their P99 under the promise; `call`: texts of the engine
            alone on the whole machine, the P99 of a call under half of it; `thread`: texts of the
            engine alone in one thread, its P99 not bounded.
    """

    basis: Basis
    texts: str = Field(description="what was asked: lengths in tokens, or the load test's texts")
    way: str = Field(description="how the engine was run")
    per_second: float
    p99_ms: float
    at_least: bool = Field(description="the machine does so many or more")
    measured_at: str
    hardware: Hardware


class Planned(Record):
    """What a wanted rate takes. `per_million` is None where the price is not known."""

    requests_per_second: float
    replicas: int
    per_million: float | None


class CostRow(Record):
    """One figure of one card. Where it is `at_least`, costs and replicas are at most these."""

    model: str
    version: str
    card: str = Field(description="the file")
    figure: Figure
    requests_per_second: float = Field(description="the best rate of one machine")
    machine: str | None = Field(description="of the price list; None where it has none")
    price_per_hour: float | None
    per_million: float | None = Field(description="at the best rate, all the time")
    per_million_as_planned: float | None = Field(description="at `utilisation` of it")
    planned: list[Planned]


class Priced(Record):
    """A machine of the price list, and whether a card was measured on it."""

    machine: str
    hardware: str
    cores: int | None
    price_per_hour: float
    as_of: str
    source: str
    has_card: bool


class CostReport(Record):
    """One run. Rows are in the order to be read: by basis and texts, the cheapest first."""

    prices_file: str
    prices_of: str
    currency: str
    load_share: float
    utilisation: float
    rows: list[CostRow]
    prices: list[Priced]
    unknown: list[str] = Field(description="what is missing, and how to find it out")

"""Joins what cards say of speed with what machines cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.card import EngineCard, Hardware
from engines.cost_figures import figures_of, read_all
from engines.cost_record import BASES, CostReport, CostRow, Figure, Planned, Priced
from engines.errors import EngineError
from engines.price import LOAD_SHARE, UTILISATION, per_million, replicas_for
from engines.price_list import (
    DEFAULT_PRICES,
    MachinePrice,
    dates_of,
    described,
    price_of,
    read_prices,
)


@dataclass(frozen=True)
class CostAsked:
    """What is wanted.

    Attributes:
        repository: whose cards are read.
        cards: further folders with cards, such as those of other machines.
        prices: the price list.
        rates: requests a second to plan for.
        load_share: of an engine's own texts/s, what requests reach over HTTP.
    """

    repository: Path
    cards: Sequence[Path] = ()
    prices: Path = DEFAULT_PRICES
    rates: Sequence[float] = ()
    load_share: float = LOAD_SHARE


def find_costs(asked: CostAsked) -> CostReport:
    """Requests a second and their cost, of every card on its machine.

    Raises:
        EngineError: there are no cards, a rate is none, or the price list cannot be used.
    """
    for rate in asked.rates:
        if not 0 < rate < math.inf:
            raise EngineError(f"--rate {rate:g}: it has to be a number over 0")
    prices = read_prices(asked.prices)
    cards, unknown = read_all(asked.repository, asked.cards)
    rows: list[CostRow] = []
    unpriced: dict[str, Hardware] = {}
    used: set[str] = set()
    for path, card in cards.items():
        figures, lacking = figures_of(card)
        if lacking:
            unknown.append(f"{card.name} {card.version} ({path}): {'; '.join(lacking)}")
        for figure in figures:
            price = price_of(figure.hardware, prices, asked.prices)
            if price is None:
                unpriced[described(figure.hardware)] = figure.hardware
            else:
                used.add(price.machine)
            rows.append(_row(path, card, figure, price, asked))
    unknown += _without_price(unpriced, asked.prices)
    listed = [_priced(price, price.machine in used) for price in prices]
    unmeasured = [price.machine for price in listed if not price.has_card]
    if unmeasured:
        unknown.append(f"no card was measured on {', '.join(unmeasured)}")
    return CostReport(
        prices_file=str(asked.prices),
        prices_of=dates_of(prices),
        currency=prices[0].currency,
        load_share=asked.load_share,
        utilisation=UTILISATION,
        rows=sorted(rows, key=_order),
        prices=listed,
        unknown=unknown,
    )


def _row(
    path: Path, card: EngineCard, figure: Figure, price: MachinePrice | None, asked: CostAsked
) -> CostRow:
    best = figure.per_second * (1.0 if figure.basis == "http" else asked.load_share)
    per_hour = price.price_per_hour if price else None
    return CostRow(
        model=card.name,
        version=card.version,
        card=str(path),
        figure=figure,
        requests_per_second=best,
        machine=price.machine if price else None,
        price_per_hour=per_hour,
        per_million=per_million(per_hour, best) if per_hour else None,
        per_million_as_planned=per_million(per_hour, UTILISATION * best) if per_hour else None,
        planned=[_planned(rate, best, per_hour) for rate in asked.rates],
    )


def _planned(rate: float, best_rate: float, per_hour: float | None) -> Planned:
    replicas = replicas_for(rate, best_rate)
    return Planned(
        requests_per_second=rate,
        replicas=replicas,
        per_million=per_million(replicas * per_hour, rate) if per_hour else None,
    )


def _without_price(hardware: Mapping[str, Hardware], prices: Path) -> list[str]:
    """A line on each hardware that the list has no price for."""
    found = []
    for name, each in hardware.items():
        said = f"{prices} has no price of {name}: give it a line"
        if each.cores is None:
            said += " with 'cores' left blank, or measure the engine again, which notes them"
        found.append(said)
    return found


def _priced(price: MachinePrice, has_card: bool) -> Priced:
    return Priced(
        machine=price.machine,
        hardware=price.hardware,
        cores=price.cores,
        price_per_hour=price.price_per_hour,
        as_of=price.as_of.isoformat(),
        source=price.source,
        has_card=has_card,
    )


def _order(row: CostRow) -> tuple[int, str, float, float, str]:
    cost = math.inf if row.per_million is None else row.per_million
    return (
        BASES.index(row.figure.basis), row.figure.texts, cost, -row.requests_per_second, row.card,
    )  # fmt: skip

"""The command `sub50 engines cost`: requests a second and their cost, by machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engines.commands import DEFAULT_REPOSITORY, AsJson, Repository, carry_out, print_json
from engines.errors import EngineError
from engines.evaluate_command import LoadShare
from engines.report_place import require_packages

if TYPE_CHECKING:
    from engines.cost_record import CostReport

Cards = Annotated[
    list[Path] | None, typer.Option(help="A folder with cards of other machines; may be repeated.")
]
Prices = Annotated[
    Path | None, typer.Option(help="Price list, CSV.", show_default="the one that comes along")
]
Rates = Annotated[
    list[float] | None, typer.Option("--rate", help="Requests/s to plan for; may be repeated.")
]
Page = Annotated[Path | None, typer.Option("--html", help="Write a page there.")]


def add_cost_command(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("cost")(cost_of_engines)


def cost_of_engines(
    cards: Cards = None,
    prices: Prices = None,
    rates: Rates = None,
    html: Page = None,
    load_share: LoadShare = None,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Say what a million requests cost, machine by machine, from cards and a list of prices."""
    from engines.cost import CostAsked, find_costs
    from engines.price import LOAD_SHARE
    from engines.price_list import DEFAULT_PRICES

    asked = CostAsked(
        repository=repository,
        cards=tuple(cards or ()),
        prices=prices or DEFAULT_PRICES,
        rates=tuple(rates or ()),
        load_share=load_share or LOAD_SHARE,
    )

    def run() -> CostReport:
        if html is not None:
            require_page(html)
        found = find_costs(asked)
        if html is not None:
            from engines.cost_report import write_cost_page

            write_cost_page(found, html)
        return found

    report = carry_out(run)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        show(report)


def require_page(path: Path) -> None:
    """Raise EngineError, before anything is read, unless a page can be made and put there."""
    require_packages("jinja2", "matplotlib")
    if path.is_dir():
        raise EngineError(f"--html {path} is a folder; name a file, such as cost.html")


def show(report: CostReport) -> None:
    """Print a report's tables, and what is not known."""
    from rich.console import Console

    from engines.cost_table import terminal_tables

    console = Console(highlight=False)
    for table in terminal_tables(report):
        console.print(table)
    prices = f"Prices: {report.prices_file}, of {report.prices_of}."
    console.print(prices, markup=False, soft_wrap=True)
    for line in report.unknown:
        console.print(f"Not known: {line}.", markup=False, soft_wrap=True)

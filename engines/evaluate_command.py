"""The command `sub50 engines evaluate`: measures an engine, writes a record and a page of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    TrackingUri,
    carry_out,
    print_json,
)

EngineName = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, or a version folder.")]
Data = Annotated[
    Path | None, typer.Option(help="A labelled file, JSON lines or CSV; or a folder of data.")
]
Against = Annotated[
    str | None, typer.Option(help="Another engine, set beside it; or fp32, itself unquantized.")
]
Report = Annotated[
    Path | None, typer.Option(help="Folder to write to; runs/evaluate/NAME-VERSION by default.")
]
Price = Annotated[float | None, typer.Option(min=0.0, help="What such a machine costs an hour.")]
LoadShare = Annotated[
    float | None,
    typer.Option(min=0.01, max=1.0, help="Share of the engine's texts/s that requests reach."),
]
Seconds = Annotated[float, typer.Option(min=0.1, help="Time of each measurement of speed.")]
RequireFair = Annotated[
    bool, typer.Option("--require-fair", help="Exit 1 where the fairness gap is over 0.02.")
]


def add_evaluate_command(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("evaluate")(evaluate_engine)


def evaluate_engine(
    engine: EngineName,
    data: Data = None,
    against: Against = None,
    price_per_hour: Price = None,
    currency: Annotated[str, typer.Option(help="Of that price.")] = "USD",
    load_share: LoadShare = None,
    seconds: Seconds = 2.0,
    report: Report = None,
    require_fair: RequireFair = False,
    base: Base = None,
    repository: Repository = DEFAULT_REPOSITORY,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Measure what an engine gets right, how fairly, how fast; or two side by side."""
    from engines.evaluate_run import Asked, run_evaluate

    asked = Asked(
        engine=engine,
        against=against,
        data=data,
        report=report,
        seconds=seconds,
        price_per_hour=price_per_hour,
        currency=currency,
        load_share=load_share,
        require_fair=require_fair,
        base=base,
    )
    result = carry_out(lambda: run_evaluate(asked, repository, tracking_uri))
    if as_json:
        print_json(result)
    if require_fair and not result["engine"]["fairness"]["within_target"]:
        raise typer.Exit(1)

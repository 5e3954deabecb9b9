"""The command `sub50 engines profile`: where the time of an engine, or of its training, goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engines.commands import DEFAULT_REPOSITORY, AsJson, Base, Repository, carry_out, print_json

EngineName = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, or a version folder.")]
Version = Annotated[str | None, typer.Option(help="Another version than the one served.")]
Batch = Annotated[
    int | None, typer.Option(min=1, max=128, help="Texts in a call.", show_default="1")
]
Tokens = Annotated[
    int | None, typer.Option(min=3, max=512, help="Tokens of each text.", show_default="25")
]
Texts = Annotated[
    Path | None, typer.Option(help="Texts instead: a column `text` of JSON lines or CSV.")
]
Runs = Annotated[
    int | None,
    typer.Option(min=1, max=1000, help="Calls, or steps.", show_default="50 calls or 4 steps"),
]
Training = Annotated[bool, typer.Option("--training", help="Steps of its training instead.")]
Threads = Annotated[int, typer.Option(min=0, help="PyTorch's, with --training; 0 takes all.")]
Html = Annotated[
    Path | None,
    typer.Option(help="The page to write.", show_default="runs/profile/NAME-VERSION.html"),
]


def add_profile(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("profile")(profile_engine)


def profile_engine(
    engine: EngineName,
    version: Version = None,
    batch: Batch = None,
    tokens: Tokens = None,
    texts: Texts = None,
    runs: Runs = None,
    training: Training = False,
    threads: Threads = 0,
    base: Base = None,
    html: Html = None,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Show where an engine's time goes, by operator, or that of a step of its training."""
    from engines.profile_run import Asked, run_profile

    asked = Asked(
        engine=engine,
        version=version,
        batch=batch,
        tokens=tokens,
        texts=texts,
        runs=runs,
        training=training,
        threads=threads,
        base=base,
        html=html,
    )
    result = carry_out(lambda: run_profile(asked, repository))
    if as_json:
        print_json(result)

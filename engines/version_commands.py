"""The commands on versions of an engine: `sub50 engines promote`, `rollback`, `gate`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    carry_out,
    print_json,
)

Name = Annotated[str, typer.Argument(help="Which model.")]
# Starting Python, hashing and copying an engine should not make a request late beside it.
NICENESS = 10


def add_version_commands(app: typer.Typer) -> None:
    """Add the three commands to the group of those on engines."""
    app.command("promote")(promote_engine)
    app.command("rollback")(rollback_engine)
    app.command("gate")(gate_engine)


def promote_engine(
    name: Name,
    candidate: Annotated[
        str, typer.Argument(help="A version folder made elsewhere, or a version that is there.")
    ],
    force: Annotated[
        bool, typer.Option("--force", help="Let labels and golden answers differ.")
    ] = False,
    shadow: Annotated[
        str | None,
        typer.Option(help="Ask it copies of live requests first, for so long: 90s, 10m, 1h."),
    ] = None,
    shadow_share: Annotated[
        float, typer.Option(help="The share of requests to copy, over 0 and at most 1.")
    ] = 1.0,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Serve another version of an engine, tried out first, while requests come in."""
    _step_back()
    from engines.promote_command import run_promote

    _shown(lambda: run_promote(name, candidate, repository, force, shadow, shadow_share), as_json)
    _follow(name, repository)


def rollback_engine(
    name: Name, repository: Repository = DEFAULT_REPOSITORY, as_json: AsJson = False
) -> None:
    """Serve the version of an engine again that served before."""
    _step_back()
    from engines.promote_command import run_rollback

    _shown(lambda: run_rollback(name, repository), as_json)
    _follow(name, repository)


def gate_engine(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="By default the one served.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled data, to gate accuracy too; a file for an imported engine."),
    ] = None,
    base: Base = None,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Measure an engine on disk again, run as it is served; exit 0 if it may be, 1 if not."""
    from engines.gate_command import run_gate

    result = _shown(lambda: run_gate(name, version, repository, data, base), as_json)
    raise typer.Exit(0 if result["passed"] else 1)


def _step_back() -> None:
    with suppress(OSError):
        os.nice(NICENESS)


def _follow(name: str, repository: Path) -> None:
    """Have the registry of models follow what serves now, where there is one."""
    from engines.registry import mark_served_aside

    mark_served_aside(name, repository)


def _shown(run: Callable[[], dict[str, Any]], as_json: bool) -> dict[str, Any]:
    result = carry_out(run)
    if as_json:
        print_json(result)
    return result

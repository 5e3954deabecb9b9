"""What the commands of `sub50 engines` share: their options, and how an error is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from core import onnx_runtime
from engines.errors import EngineError

Repository = Annotated[
    Path, typer.Option(help="Folder with the models.", envvar="SUB50_REPOSITORY")
]
Base = Annotated[Path | None, typer.Option(help="Folder of the base encoder; fetched by default.")]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        envvar="SUB50_TRACKING_URI",
        help="Where runs are recorded: sqlite:///FILE, an MLflow server's URL, or none.",
        show_default="sqlite:///runs/tracking.db",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with everything.")]
DEFAULT_REPOSITORY = Path("model_repository")
# A table's width where the output is no terminal, whose own width then is unknown.
FILE_COLUMNS = 110
Result = TypeVar("Result")


def carry_out(run: Callable[[], Result]) -> Result:
    """Run a command; what goes wrong becomes a line on standard error and exit status 1.

    That is an EngineError, or what the operating system says: a full disk, a missing permission; or
    two ONNX Runtimes in one folder, whose figures would be nobody's.
    """
    try:
        if told := onnx_runtime.clash():
            raise EngineError(told)
        return run()
    except EngineError as error:
        reason = str(error)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        reason = f"{error.strerror or error}{where}"
    line = f"error: {reason}"
    console = Console(stderr=True)
    console.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1)


def table_console() -> Console:
    """Standard error, wide enough for tables where it is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.width = FILE_COLUMNS
    return console


def print_json(value: Any) -> None:
    """Print to standard output, where `--json` asks for it."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

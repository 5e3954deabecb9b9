"""`sub50 keys`: makes keys, and takes plain ones out of files."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from service.keys.file import read_key_file
from service.keys.line import (
    MANAGEMENT_PREFIX,
    PREFIX,
    KeysError,
    check_name,
    line_of,
    lines_in,
    new_key,
    parsed,
)

keys_app = typer.Typer(help="Keys that callers send.", no_args_is_help=True)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)

RATE_HELP = "Requests a second in the long run; by default SUB50_KEY_REQUESTS_PER_SECOND."
Rate = Annotated[str | None, typer.Option(help=f"{RATE_HELP} `none` is no limit.")]
Burst = Annotated[int | None, typer.Option(min=1, help="Requests at once; default a second's.")]


@keys_app.command()
def new(
    name: Annotated[str, typer.Argument(help="Whose key it is; shown in metrics.")],
    rate: Rate = None,
    burst: Burst = None,
    file: Annotated[
        Path | None, typer.Option(help="File of keys that the line is added to.")
    ] = None,
    management: Annotated[
        bool, typer.Option("--management", help="One that manages, for another file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a key and show it, once; only its hash is kept."""
    # In the order of a line.
    options = {"rate": rate, "burst": burst}
    given = " ".join(f"{option}={value}" for option, value in options.items() if value is not None)
    if management and given:
        raise _failed("a key that manages has no rate; leave out --rate and --burst")
    setting = "SUB50_MANAGEMENT_KEYS_FILE" if management else "SUB50_API_KEYS_FILE"
    key = new_key(MANAGEMENT_PREFIX if management else PREFIX)
    line = line_of(name, key, given)
    try:
        check_name(name)
        parsed([("what was given", line)])
        if file is not None:
            _add(line, file)
    except KeysError as error:
        raise _failed(str(error)) from None
    if as_json:
        typer.echo(json.dumps({"name": name, "key": key, "line": line}))
    else:
        typer.echo(f"key   {key}" if file is not None else f"key   {key}\nline  {line}")
    where = f"is in {file}" if file is not None else f"belongs into {setting}"
    stderr.print(
        f"The key is shown this once: give it to {name}. The line {where}; a running service takes "
        "it over within seconds.",
        markup=False,
    )


@keys_app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="File of plain keys; - reads standard input.")],
) -> None:
    """Print a file of keys with hashes in the place of plain keys."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else read_key_file(file)
        known = iter(lines_in(content))
    except KeysError as error:
        raise _failed(f"{file}: {error}") from None
    for line in content.splitlines():
        text = line.strip()
        key = next(known) if text and not text.startswith(b"#") else None
        if key is not None and key.was_plain:
            line = line_of(key.name, text.decode("ascii")).encode()
        typer.echo(line)


def _add(line: str, file: Path) -> None:
    """Append a line to a file of keys, which is made where there is none; for its owner alone."""
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b") as opened:
            content = opened.read()
            if content.strip():
                # Raises where the file could not be used with that line in it.
                lines_in(content.rstrip(b"\n") + b"\n" + line.encode() + b"\n")
            end = b"" if not content or content.endswith(b"\n") else b"\n"
            opened.write(end + line.encode() + b"\n")
    except OSError as error:
        raise KeysError(f"cannot write {file}: {error.strerror}") from None


def _failed(message: str) -> typer.Exit:
    stderr.print(f"error: {message}", style="bold red", markup=False)
    return typer.Exit(1)

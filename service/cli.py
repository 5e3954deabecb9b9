"""The command `sub50`. The one module that knows both the serving and the building side."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from engines.cli import engines_app
from loadtest.cli import loadtest_app
from service.ask import DEFAULT_URL, AskError, ask, show_labels, show_summary
from service.configuration import read_settings
from service.errors import ServeError
from service.keys.commands import keys_app
from service.logs import log_lines, tell
from service.private import forbid_core_dumps
from service.settings import ENVIRONMENT_PREFIX, Settings

app = typer.Typer(
    help="Text classification and summarization over HTTP with P99 under 50 ms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(engines_app, name="engines")
app.add_typer(loadtest_app, name="loadtest")
app.add_typer(keys_app, name="keys")
stderr = Console(stderr=True)
log = logging.getLogger("sub50.run")

Repository = Annotated[
    Path | None, typer.Option(help="Folder with the models; default model_repository.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on; default 127.0.0.1.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; default 8080.")]
Url = Annotated[
    str, typer.Option(help="Where the service listens.", envvar=f"{ENVIRONMENT_PREFIX}URL")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with everything.")]


def fail(message: str) -> typer.Exit:
    """Print an error for people and return the exit to raise."""
    line = f"error: {message}"
    stderr.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
    return typer.Exit(1)


def load_settings(**given: Any) -> Settings:
    """Settings from options, then the environment, then defaults; a wrong one ends the command."""
    try:
        return read_settings(given)
    except ServeError as error:
        raise fail(str(error)) from None


def _run(settings: Settings, run: Callable[[], int]) -> NoReturn:
    """Run a server to its end; what keeps it from starting is told as its log lines are."""
    forbid_core_dumps()
    with log_lines(settings.log_format, settings.log_level):
        try:
            raise typer.Exit(run())
        except ServeError as error:
            if settings.log_format == "json":
                log.critical("%s", error)
            else:
                tell(f"error: {error}")
            raise typer.Exit(1) from None


@app.command()
def serve(host: Host = None, port: Port = None, repository: Repository = None) -> None:
    """Start the embedded Triton and the API, and stop both on Ctrl-C or SIGTERM."""
    from service.run import run_stack

    settings = load_settings(host=host, port=port, repository=repository)
    _run(settings, lambda: run_stack(settings))


@app.command()
def api(
    triton: Annotated[
        str | None, typer.Option(help="gRPC target of Triton, such as dns:///triton:8001.")
    ] = None,
    host: Host = None,
    port: Port = None,
    repository: Repository = None,
) -> None:
    """Start the API alone, over a Triton that runs elsewhere."""
    from service.run import run_api

    settings = load_settings(triton=triton, host=host, port=port, repository=repository)
    if settings.triton is None:
        raise fail(
            f"say where Triton is with --triton or {ENVIRONMENT_PREFIX}TRITON, "
            "or start both with `sub50 serve`"
        )
    target = settings.triton
    _run(settings, lambda: run_api(settings, target))


@app.command()
def triton(
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC; 0 picks a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port for Triton's metrics.")] = 8002,
    host: Annotated[str, typer.Option(help="Loopback address to listen on.")] = "127.0.0.1",
    connection_age: Annotated[
        float,
        typer.Option(min=0, help="Seconds after which clients look for Tritons anew; 0 is never."),
    ] = 30.0,
    repository: Repository = None,
) -> None:
    """Start the embedded Triton alone, on loopback."""
    from service.run import run_triton

    settings = load_settings(repository=repository)
    _run(
        settings,
        lambda: run_triton(settings, grpc_port, metrics_port, host, connection_age),
    )


@app.command()
def classify(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    model: Annotated[str, typer.Option(help="Which model labels it.")] = "sentiment",
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Label a text through a running service."""
    body = {"input": _text_of(text), "model": model}
    answer = _ask(url, "/v1/classify", body)
    _show(answer, as_json, show_labels)


@app.command()
def summarize(
    document: Annotated[Path, typer.Argument(help="A text file; - reads standard input.")],
    model: Annotated[str, typer.Option(help="general or contracts.")] = "general",
    sentences: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    words: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    ratio: Annotated[float | None, typer.Option(help="At most this share of sentences.")] = None,
    url: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Choose the sentences of a document that matter, through a running service."""
    limits = {"max_sentences": sentences, "max_words": words, "ratio": ratio}
    answer = _ask(url, "/v1/summarize", {"input": _file_text(document), "model": model, **limits})
    _show(answer, as_json, show_summary)


def _text_of(argument: str) -> str:
    return sys.stdin.read() if argument == "-" else argument


def _file_text(path: Path) -> str:
    if str(path) == "-":
        return sys.stdin.read()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise fail(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise fail(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def _ask(url: str, route: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return ask(url, route, body)
    except AskError as error:
        raise fail(str(error)) from None


def _show(answer: dict[str, Any], as_json: bool, table: Any) -> None:
    if as_json:
        _print_json(answer)
    else:
        table(answer, Console())


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))

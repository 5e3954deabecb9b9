"""The command `sub50`. The one module that knows both the serving and the building side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.console import Console

from engines.version_commands import add_version_commands
from loadtest.cli import loadtest_app
from service.ask import DEFAULT_URL, AskError, ask, show_labels, show_summary
from service.errors import ServeError
from service.settings import ENVIRONMENT_PREFIX, Settings

app = typer.Typer(
    help="Text classification and summarization over HTTP with P99 under 50 ms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
engines_app = typer.Typer(help="Build, import, promote and list engines.", no_args_is_help=True)
add_version_commands(engines_app)
app.add_typer(engines_app, name="engines")
app.add_typer(loadtest_app, name="loadtest")
stderr = Console(stderr=True)

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
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise fail(
            f"setting {name} ({ENVIRONMENT_PREFIX}{name.upper()}): {first['msg']}, "
            f"got {first['input']!r}"
        ) from None


@app.command()
def serve(host: Host = None, port: Port = None, repository: Repository = None) -> None:
    """Start the embedded Triton and the API, and stop both on Ctrl-C or SIGTERM."""
    from service.run import run_stack

    settings = load_settings(host=host, port=port, repository=repository)
    try:
        raise typer.Exit(run_stack(settings))
    except ServeError as error:
        raise fail(str(error)) from None


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
    try:
        raise typer.Exit(run_api(settings, settings.triton))
    except ServeError as error:
        raise fail(str(error)) from None


@app.command()
def triton(
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC; 0 picks a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port for Triton's metrics.")] = 8002,
    repository: Repository = None,
) -> None:
    """Start the embedded Triton alone, on loopback."""
    from service.run import run_triton

    settings = load_settings(repository=repository)
    try:
        raise typer.Exit(run_triton(settings, grpc_port, metrics_port))
    except ServeError as error:
        raise fail(str(error)) from None


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


@engines_app.command("build")
def build(
    names: Annotated[list[str] | None, typer.Argument(help="Which models; all by default.")] = None,
    repository: Repository = None,
    base: Annotated[
        Path | None, typer.Option(help="Folder of the base encoder; fetched by default.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled data to measure accuracy on, for the card.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build even what is up to date.")] = False,
    as_json: AsJson = False,
) -> None:
    """Merge, quantize, check and write engines into the model repository."""
    from engines.build import build_engines
    from engines.errors import EngineError

    settings = load_settings(repository=repository)
    try:
        cards = build_engines(names or None, settings.repository, base, data, force)
    except EngineError as error:
        raise fail(str(error)) from None
    if as_json:
        _print_json([card.model_dump(mode="json") for card in cards])


@engines_app.command("import")
def import_engine(
    source: Annotated[str, typer.Argument(help="A checkpoint's folder, or its id on the hub.")],
    name: Annotated[str, typer.Option(help="What the model is to be called.")],
    labels: Annotated[
        str | None, typer.Option(help="Names of the labels: a,b,… instead of the checkpoint's.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled texts, JSON lines or CSV: calibrates, measures accuracy."),
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace a model of that name.")] = False,
    repository: Repository = None,
    as_json: AsJson = False,
) -> None:
    """Make a Hugging Face text classifier an INT8 engine that is served like the others."""
    from engines.errors import EngineError
    from engines.importing import Import, import_checkpoint

    folder = load_settings(repository=repository).repository
    names = tuple(label.strip() for label in labels.split(",")) if labels else ()
    try:
        card = import_checkpoint(Import(source, name, names, data, force), folder)
    except EngineError as error:
        raise fail(str(error)) from None
    if as_json:
        _print_json(card.model_dump(mode="json"))
    else:
        stderr.print(f"Serve it with `sub50 serve`, ask for it as model {name}.", highlight=False)


@engines_app.command("list")
def list_engines(repository: Repository = None, as_json: AsJson = False) -> None:
    """List the engines on disk with what was measured of them."""
    from engines.build import engine_table, is_served, read_cards

    folder = load_settings(repository=repository).repository
    if as_json:
        cards = read_cards(folder)
        _print_json([{**c.model_dump(mode="json"), "served": is_served(c, folder)} for c in cards])
    else:
        Console().print(engine_table(folder))


@engines_app.command("tune")
def tune(
    names: Annotated[list[str] | None, typer.Argument(help="Which models; all by default.")] = None,
    lengths: Annotated[str, typer.Option(help="Texts' tokens:weight.")] = "25:0.7,128:0.3",
    runtime: Annotated[str | None, typer.Option(help="Only onnxruntime or openvino.")] = None,
    precision: Annotated[str | None, typer.Option(help="Only int8, fp32 or bf16.")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="For each candidate at each batch size.")
    ] = 1.2,
    data: Annotated[Path | None, typer.Option(help="Labelled data, to gate accuracy too.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw latency over throughput, SVG.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, write nothing.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to what was built.")] = False,
    base: Annotated[Path | None, typer.Option(help="Folder of the base encoder.")] = None,
    repository: Repository = None,
    as_json: AsJson = False,
) -> None:
    """Measure the ways to run engines on this machine, and serve with the best."""
    from engines.errors import EngineError
    from engines.tune_command import Choice, run_reset, run_tune

    folder = load_settings(repository=repository).repository
    choice = Choice(lengths, runtime, precision, seconds, base, data, dry_run)
    try:
        result = run_reset(names, folder) if reset else run_tune(names, folder, choice, plot)
    except EngineError as error:
        raise fail(str(error)) from None
    if as_json:
        _print_json(result)


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

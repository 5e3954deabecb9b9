"""`sub50 engines quantize`: a model by a scheme of one's choice, on one's own texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    carry_out,
    print_json,
)

if TYPE_CHECKING:
    from engines.quantizing import Outcome, Tried

NOTHING = "–"


def add_quantize(app: typer.Typer) -> None:
    """Add the command to the group of those on engines."""
    app.command("quantize")(quantize)


def quantize(
    source: Annotated[
        str, typer.Argument(help="A model's name, an adapter's folder, or a checkpoint's.")
    ],
    scheme: Annotated[
        str, typer.Option(help="mixed, static, smoothed, per-token, blocks or dynamic.")
    ] = "mixed",
    data: Annotated[
        Path | None,
        typer.Option(help="Your texts in one file, to calibrate and measure; or labelled data."),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Try the other schemes too.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; runs/quantize/NAME-SCHEME by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; by default that of the folder.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="The card's; the next one by default.")
    ] = None,
    base: Base = None,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Quantize a model by a scheme, keeping in FP32 what INT8 hurts, until the gate passes."""
    outcome = carry_out(
        lambda: _run(source, name, data, repository, base, scheme, compare, out, version)
    )
    if as_json:
        print_json(outcome.as_dict())
    else:
        Console().print(outcome_table(outcome))
        _tell(outcome)
    raise typer.Exit(0 if outcome.card else 1)


def _run(
    source: str, name: str | None, data: Path | None, repository: Path, base: Path | None,
    scheme: str, compare: bool, out: Path | None, version: int | None,
) -> Outcome:  # fmt: skip
    from engines.quantize_subject import Source
    from engines.quantizing import Quantize, quantize_engine

    asked = Quantize(Source(source, name, data, repository, base), scheme, compare, out, version)
    with Console(stderr=True).status(source) as status:
        return quantize_engine(asked, lambda step: status.update(f"{source}: {step}"))


def outcome_table(outcome: Outcome) -> Table:
    """One row an engine that was tried, for a terminal."""
    title = (
        f"{outcome.name}, {outcome.layers} linear layers, {outcome.reference_bytes / 1e6:.1f} MB"
    )
    table = Table(title=f"{title} in FP32", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("scheme", no_wrap=True)
    headings = ("kept", "change", "labels", "moves", "right %", "MB", "time", "gate")
    for heading in headings:
        table.add_column(heading, justify="right")
    for tried in outcome.tried:
        table.add_row(*_row(tried))
    table.caption = (
        "kept: layers in FP32; change: of answers against FP32, mean and largest; labels: "
        "changed; moves: largest change with batch-mates or padding; right: accuracy over FP32's; "
        "time: over FP32's, one text of 32 tokens and eight of 128"
    )
    table.caption_justify = "left"
    return table


def _row(tried: Tried) -> tuple[str, ...]:
    findings = tried.attempt.findings
    drift, held = findings.drift, findings.invariance
    accuracy = [
        f"{100 * a.accuracy:.1f}\n/ {100 * a.reference_accuracy:.1f}" for a in findings.accuracy
    ]
    times = [f"{value:.2f}" for value in (tried.times or {}).values()]
    return (
        tried.scheme,
        str(tried.attempt.kept),
        f"{drift.mean_change:.4f}\n{drift.largest_change:.4f}",
        str(drift.labels_changed),
        f"{held.largest_change:.1e}",
        "\n".join(accuracy) or NOTHING,
        f"{tried.attempt.engine_bytes / 1e6:.1f}",
        "\n".join(times) or NOTHING,
        "pass" if findings.verdict.passed else "refused",
    )


def _tell(outcome: Outcome) -> None:
    told = Console(stderr=True, highlight=False, soft_wrap=True)
    for tried in outcome.tried:
        reasons = tried.attempt.findings.verdict.reasons
        if reasons:
            kept = f" with {tried.attempt.kept} layers in FP32" if tried.attempt.kept else ""
            told.print(f"{tried.scheme}{kept} is refused: {'; '.join(reasons)}.", markup=False)
    if outcome.card is None:
        told.print("Nothing was written: an engine that the gate refuses is never served.")
        return
    if outcome.kept:
        told.print(f"Kept in FP32: {', '.join(outcome.kept)}.", markup=False)
    told.print(
        f"Written to {outcome.folder}; `sub50 engines promote {outcome.name} {outcome.folder}` "
        "serves it.",
        markup=False,
    )

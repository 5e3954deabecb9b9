"""The commands that make engines: `sub50 engines build`, `import`, `tune`, and `list`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from core.card import EngineCard
from engines.commands import (
    DEFAULT_REPOSITORY,
    AsJson,
    Base,
    Repository,
    TrackingUri,
    carry_out,
    print_json,
)
from engines.runtime_options import (
    Precision,
    PrecisionOption,
    Runtime,
    RuntimeOption,
    plan_repository,
    refuse_precision,
)

SERVED_BY = {
    Runtime.ONNXRUNTIME: "`sub50 serve`",
    Runtime.CUDA: "`sub50 serve` on this machine",
    Runtime.TENSORRT: "NVIDIA's Triton and `sub50 api --triton` (docs/tensorrt.md)",
}


def add_making_commands(app: typer.Typer) -> None:
    """Add the four commands to the group of those on engines."""
    app.command("build")(build)
    app.command("import")(import_engine)
    app.command("list")(list_engines)
    app.command("tune")(tune)


def build(
    names: Annotated[list[str] | None, typer.Argument(help="Which models; all by default.")] = None,
    repository: Repository = DEFAULT_REPOSITORY,
    base: Base = None,
    data: Annotated[
        Path | None, typer.Option(help="Labelled data to measure accuracy on, for the card.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Build even what is up to date.")] = False,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    precision: PrecisionOption = None,
    as_json: AsJson = False,
) -> None:
    """Merge, quantize, check and write engines into the model repository."""

    def made() -> list[EngineCard]:
        if runtime is Runtime.TENSORRT:
            from engines.plans import build_plans

            plans = plan_repository(repository)
            return build_plans(names, plans, precision or Precision.FP16, base, data)
        from engines.build import build_engines

        refuse_precision(runtime, precision)
        make = partial(build_engines, names or None, repository, base, data, force)
        if runtime is Runtime.CUDA:
            from engines.cuda_made import made_for_cuda

            return made_for_cuda(make, repository, base, data)
        return make()

    cards = carry_out(made)
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])


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
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    precision: PrecisionOption = None,
    repository: Repository = DEFAULT_REPOSITORY,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Make a Hugging Face text classifier an INT8 engine that is served like the others."""
    from engines.import_run import run_import
    from engines.importing import Import

    names = tuple(label.strip() for label in labels.split(",")) if labels else ()
    wanted = Import(source, name, names, data, force)

    def made() -> EngineCard:
        if runtime is Runtime.TENSORRT:
            from engines.plans import import_plan

            chosen = precision or Precision.FP16
            make = partial(import_plan, precision=chosen)
            return run_import(wanted, plan_repository(repository), tracking_uri, make)
        refuse_precision(runtime, precision)
        if runtime is Runtime.CUDA:
            from engines.cuda_made import made_for_cuda

            imported = partial(run_import, wanted, repository, tracking_uri)
            return made_for_cuda(lambda: [imported()], repository, data=data)[0]
        return run_import(wanted, repository, tracking_uri)

    card = carry_out(made)
    if as_json:
        print_json(card.model_dump(mode="json"))
    else:
        Console(stderr=True).print(
            f"Serve it with {SERVED_BY[runtime]}, ask for it as model {name}.", highlight=False
        )


def list_engines(repository: Repository = DEFAULT_REPOSITORY, as_json: AsJson = False) -> None:
    """List the engines on disk with what was measured of them."""
    from engines.listing import engine_table, is_served, read_cards

    if as_json:
        cards = read_cards(repository)
        print_json(
            [{**c.model_dump(mode="json"), "served": is_served(c, repository)} for c in cards]
        )
    else:
        Console().print(engine_table(repository))


def tune(
    names: Annotated[list[str] | None, typer.Argument(help="Which models; all by default.")] = None,
    lengths: Annotated[str, typer.Option(help="Texts' tokens:weight.")] = "25:0.7,128:0.3",
    runtime: Annotated[
        str | None, typer.Option(help="Only onnxruntime, openvino, cuda, or tensorrt for plans.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Only int8, fp32, bf16 or fp16.")] = None,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="For each candidate at each batch size.")
    ] = 1.2,
    data: Annotated[
        Path | None,
        typer.Option(help="Labelled data, to gate accuracy too; a file for a model of your own."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(help="Where its checkpoint or adapter lies, if not where it was; for FP32."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw latency over throughput, SVG.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, write nothing.")] = False,
    unmeasured: Annotated[
        bool, typer.Option("--unmeasured", help="With cuda: for a GPU elsewhere; only the gate.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Go back to what was built.")] = False,
    base: Base = None,
    repository: Repository = DEFAULT_REPOSITORY,
    as_json: AsJson = False,
) -> None:
    """Measure the ways to run what is served on this machine, and serve with the best."""
    from engines.tune_command import Choice, run_reset, run_tune

    choice = Choice(lengths, runtime, precision, seconds, base, data, dry_run, source, unmeasured)
    result = carry_out(
        lambda: run_reset(names, repository) if reset else run_tune(names, repository, choice, plot)
    )
    if as_json:
        print_json(result)

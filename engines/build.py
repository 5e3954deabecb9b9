"""Builds engines: base, adapter, graph, INT8, measurement, gate, version folder. One line each.

Nothing is promoted ungated: the version folder appears, whole, only after the gate has passed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, read_card, write_card
from core.tokenizer import TextTokenizer
from core.versions import VersionError, served_folder, versions_of
from engines import base, gate, graph
from engines.calibrate import channel_ranges
from engines.catalog import MAX_TOKENS, ModelSpec, specs
from engines.checksums import file_sha256, value_sha256
from engines.merge import ADAPTERS, merge, read_adapter
from engines.model_config import CONFIG_FILE, is_tuned, write_model_files
from engines.quantize import quantize
from engines.record import Ingredients, measured_card, tool_versions
from engines.texts import calibration_texts

VERSION = "1"
# The modules whose text decides what an engine is and what its card says.
RECIPE_MODULES = (
    "base", "build", "calibrate", "gate", "graph", "graph_builder", "measure", "memory", "merge",
    "quantize", "record", "schemes", "texts",
)  # fmt: skip


def build_engines(
    names: Sequence[str] | None,
    repository: Path,
    base_folder: Path | None = None,
    data: Path | None = None,
    force: bool = False,
    adapters: Path = ADAPTERS,
) -> list[EngineCard]:
    """Build the named models, or all, into `repository`; returns their cards.

    An engine whose card records the same ingredients is left as it is.

    Args:
        names: models of engines/catalog.py; None means all.
        repository: the model repository; `<model>/1` is replaced whole, or not at all.
        base_folder: folder of the base encoder; None fetches it into a cache.
        data: folder of labelled data to measure accuracy on; None measures without.
        force: build even what is up to date.
        adapters: folder with one folder for each adapter.

    Raises:
        EngineError: something is missing or not what it should be, or the gate refuses.
    """
    chosen = specs(names)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        fetching = progress.add_task("base encoder: finding and verifying", total=1)
        folder = base.ensure_base(base_folder)
        progress.update(fetching, completed=1, description=f"base encoder: {base.BASE_NAME}")
        # All are verified before the first is built, which takes far longer.
        verified = [ingredients_of(spec, folder, adapters) for spec in chosen]
        return [_build_one(each, repository, data, force, progress) for each in verified]


def read_cards(repository: Path) -> list[EngineCard]:
    """The cards of all engines in a repository, by name and version; folders without a valid card
    are left out."""
    models = sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}"))
    folders = [version for model in models for version in versions_of(model)]
    return [card for card in map(_card_of, folders) if card]


def is_served(card: EngineCard, repository: Path) -> bool:
    """Whether it is the version of its model that is served."""
    try:
        version = served_folder(repository / card.name)
    except VersionError:
        return False
    return version is not None and version.name == card.version


def engine_table(repository: Path) -> Table:
    """The engines of a repository, with what was measured of them, for a terminal."""
    table = Table(title=f"Engines in {repository}", title_justify="left")
    table.add_column("model", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    for heading in ("MB", "accuracy", "change", "invariance", "1x32", "8x128"):
        table.add_column(heading, justify="right")
    for card in read_cards(repository):
        p50_ms = {(timing.batch, timing.tokens): f"{timing.p50_ms:.1f}" for timing in card.timings}
        accuracies = [f"{100 * figures.accuracy:.1f} %" for figures in card.accuracy]
        table.add_row(
            f"{card.name} {card.version}{'' if is_served(card, repository) else ' ○'}",
            card.precision,
            f"{card.engine_bytes / 1e6:.0f}",
            "\n".join(accuracies) or "–",
            f"{card.drift.mean_change:.4f}",
            f"{card.invariance.largest_change:.4f}",
            p50_ms.get((1, 32), "–"),
            p50_ms.get((8, 128), "–"),
        )
    table.caption = (
        "change: mean change of a score against FP32; invariance: largest change with batch-mates "
        "or padding; 1x32, 8x128: P50 in ms of batch x tokens; ○: another version is served"
    )
    table.caption_justify = "left"
    return table


def _build_one(
    ingredients: Ingredients,
    repository: Path,
    data: Path | None,
    force: bool,
    progress: Progress,
) -> EngineCard:
    spec = ingredients.spec
    step = progress.add_task(f"{spec.name}: verifying", total=1)
    config = repository / spec.name / CONFIG_FILE
    if not config.is_file():
        write_model_files(spec, repository)
    target = repository / spec.name / VERSION
    card = None if force else _card_of(target)
    if card and _is_current(card, target, ingredients, data):
        progress.update(step, completed=1, description=f"{spec.name}: up to date")
        return card
    # Inside the model, where Triton passes over folders that are not version numbers.
    partial = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        progress.update(step, description=f"{spec.name}: merging and quantizing")
        reference = _write_engine(ingredients, partial)
        progress.update(step, description=f"{spec.name}: measuring")
        card = measured_card(ingredients, partial, VERSION, reference, data)
        gate.require(spec.name, card.gate)
        write_card(card, partial)
        _promote(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    note = ""
    if is_tuned(config):  # what was tuned went with the version that it was measured on
        write_model_files(spec, repository)
        note = f"; its tuning is undone, `sub50 engines tune {spec.name}` tunes it again"
    if not is_served(card, repository):
        note += (
            f"; another version is served, `sub50 engines promote {spec.name} {VERSION}` serves it"
        )
    progress.update(step, completed=1, description=f"{spec.name}: built, gate passed{note}")
    return card


def ingredients_of(spec: ModelSpec, base_folder: Path, adapters: Path) -> Ingredients:
    """What a model is made of, verified.

    Raises:
        EngineError: the adapter is missing or not what it should be.
    """
    adapter = None
    if spec.adapter:
        expected = base.SHA256[base.WEIGHTS_FILE]
        adapter = read_adapter(adapters / spec.adapter, expected, spec.labels)
    here = Path(__file__).resolve().parent
    recipe = {
        "base": base.SHA256,
        "adapter": adapter.sha256 if adapter else None,
        "spec": [spec.task, spec.output, spec.labels],
        "modules": {name: file_sha256(here / f"{name}.py") for name in RECIPE_MODULES},
        "tools": tool_versions(),
    }
    return Ingredients(spec, base_folder, adapter, value_sha256(recipe))


def _is_current(
    card: EngineCard, folder: Path, ingredients: Ingredients, data: Path | None
) -> bool:
    return (
        card.recipe_sha256 == ingredients.recipe_sha256
        and (data is None or not ingredients.spec.data or bool(card.accuracy))
        and (folder / ENGINE_FILE).is_file()
        and file_sha256(folder / ENGINE_FILE) == card.engine_sha256
        and (card.tuning is None or (folder / card.tuning.engine_file).is_file())
        and (folder / TOKENIZER_FILE).is_file()
        and file_sha256(folder / TOKENIZER_FILE) == card.tokenizer_sha256
    )


def reference_graph(ingredients: Ingredients) -> onnx.ModelProto:
    """The unquantized graph: base, adapter merged in, and head."""
    weights = base.load_weights(ingredients.base_folder)
    adapter = ingredients.adapter
    if adapter is None:
        return graph.embedding_graph(weights, base.SHAPE)
    merged = merge(weights, adapter)
    return graph.classifier_graph(merged, base.SHAPE, adapter.head_weight, adapter.head_bias)


def _write_engine(ingredients: Ingredients, folder: Path) -> onnx.ModelProto:
    """Write the INT8 engine and its tokenizer; returns the unquantized graph."""
    tokenizer_file = ingredients.base_folder / base.TOKENIZER_FILE
    tokenizer = TextTokenizer(tokenizer_file, MAX_TOKENS)
    rows = [tokens.ids for tokens in tokenizer.encode(calibration_texts())]
    reference = reference_graph(ingredients)
    onnx.save(quantize(reference, channel_ranges(reference, rows)), folder / ENGINE_FILE)
    shutil.copyfile(tokenizer_file, folder / TOKENIZER_FILE)
    return reference


def _promote(partial: Path, target: Path) -> None:
    """Put the finished folder in the place of the version that is served."""
    partial.chmod(0o755)  # temporary folders are private; Triton may run as another user
    retired = partial.with_name(f"{partial.name}.retired")
    if target.exists():
        target.rename(retired)
    partial.rename(target)
    shutil.rmtree(retired, ignore_errors=True)


def _card_of(folder: Path) -> EngineCard | None:
    """The card in a version folder, or None if there is none that this version can read."""
    try:
        return read_card(folder)
    except (FileNotFoundError, ValidationError):
        return None

"""`sub50 engines gate`: measures an engine on disk again, as the build does, and judges it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.checksums import engine_files
from core.versions import VersionError, names, served_folder, versions_of
from engines import base
from engines.catalog import CATALOG, specs
from engines.checksums import changed_files
from engines.errors import EngineError
from engines.examiner import Findings
from engines.gate_imported import examine_imported
from engines.gated_engine import GatedEngine, gated_engine
from engines.making import ingredients_of, reference_graph
from engines.material import default_material
from engines.measure import Engine
from engines.merge import ADAPTERS
from engines.model_config import CONFIG_FILE
from engines.plain_graph import require_plain
from engines.record import Ingredients, examined


def run_gate(
    name: str,
    version: str | None,
    repository: Path,
    data: Path | None = None,
    base_folder: Path | None = None,
    adapters: Path = ADAPTERS,
) -> dict[str, Any]:
    """Measure a version, by default the served one, and say yes or no with the reasons.

    Args:
        name: the model.
        version: which version folder.
        repository: the model repository.
        data: labelled data to gate accuracy with too: the folder that a build takes, or for an
            imported engine the file that an import does.
        base_folder: the base encoder; fetched by default. Imported engines have none.
        adapters: the folder of the adapters.

    Returns:
        `model`, `version`, `passed`, `reasons`, `ran`, which says what was run by what, and what
        was measured of that: `drift`, `invariance`, `accuracy`. That is what is served: a plan, or
        what tuning chose. Where it cannot be run here, the version does not pass, and what is
        measured is its graph.

    Raises:
        EngineError: there is no such engine, or what it was made of is not here to compare with.
    """
    if not (repository / name / CONFIG_FILE).is_file():
        specs([name])  # raises for a name that is no model's
    folder = _version_folder(repository / name, version)
    card = _card(folder)
    for path in engine_files(folder, card):
        require_plain(path)
    asked = gated_engine(card, folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status(f"{name} {folder.name}: measuring against the unquantized graph"):
        if card.imported is not None:
            findings = examine_imported(card, folder, data, asked.open)
        else:
            findings = _examine_built(card, folder, data, base_folder, adapters, asked.open)
    changed = [
        f"{file} is not the file that the card was made for"
        for file, *_ in changed_files(folder, card)
    ]
    reasons = [*changed, *findings.verdict.reasons]
    console.print(f"{name} {folder.name} {_said(asked, reasons)}.", markup=False)
    if asked.not_run is not None:
        reasons.insert(0, f"{asked.served} was not run: {asked.not_run}")
    return {
        "model": name,
        "version": folder.name,
        "passed": not reasons,
        "reasons": reasons,
        "ran": asked.ran,
        "drift": findings.drift.model_dump(mode="json"),
        "invariance": findings.invariance.model_dump(mode="json"),
        "accuracy": [figures.model_dump(mode="json") for figures in findings.accuracy],
    }


def _said(asked: GatedEngine, reasons: Sequence[str]) -> str:
    """The verdict for people, with what it was read of."""
    verdict = f"is refused: {'; '.join(reasons)}" if reasons else "passes the gate"
    if asked.not_run is None:
        return f"{verdict} ({asked.ran})"
    return (
        f"is not judged, because {asked.served} was not run: {asked.not_run}. Its graph alone "
        f"({asked.ran}) {verdict}; ask again on a machine like the one that will serve it"
    )


def _examine_built(
    card: EngineCard,
    folder: Path,
    data: Path | None,
    base_folder: Path | None,
    adapters: Path,
    opened: Callable[[], Engine],
) -> Findings:
    if card.name not in CATALOG:
        raise _other_origin(card)
    spec = CATALOG[card.name]
    ingredients = ingredients_of(spec, base.ensure_base(base_folder), adapters)
    _require_same_origin(card, ingredients)
    reference = reference_graph(ingredients)
    return examined(spec, folder, reference, default_material(spec, data), opened())


def _version_folder(folder: Path, version: str | None) -> Path:
    try:
        found = served_folder(folder) if version is None else folder / version
    except VersionError as error:
        raise EngineError(str(error)) from error
    if found is None or found not in versions_of(folder):
        raise EngineError(
            f"no version {version or 'that is served'} of {folder.name}; versions there: "
            f"{names(versions_of(folder))}"
        )
    return found


def _card(folder: Path) -> EngineCard:
    for file in (ENGINE_FILE, TOKENIZER_FILE):
        if not (folder / file).is_file():
            raise EngineError(f"{folder} lacks {file}; build it anew")
    try:
        return read_card(folder)
    except (FileNotFoundError, ValidationError) as error:
        raise EngineError(f"{folder} has no card that can be read: {error}") from error


def _require_same_origin(card: EngineCard, ingredients: Ingredients) -> None:
    """Raise unless base and adapter here are those that the engine was made of."""
    adapter = ingredients.adapter
    here = (base.SHA256[base.WEIGHTS_FILE], adapter.sha256 if adapter else None)
    if (card.base_sha256, card.adapter_sha256) != here:
        raise _other_origin(card)


def _other_origin(card: EngineCard) -> EngineError:
    return EngineError(
        f"version {card.version} of {card.name} was made of another base or adapter than "
        f"those here, so there is nothing to measure it against; its card says what its own "
        f"gate found"
    )

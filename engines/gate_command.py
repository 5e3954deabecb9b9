"""`sub50 engines gate`: measures an engine on disk again, as the build does, and judges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.versions import VersionError, names, served_folder, versions_of
from engines import base, gate
from engines.catalog import specs
from engines.checksums import changed_files
from engines.errors import EngineError
from engines.making import ingredients_of, reference_graph
from engines.material import default_material
from engines.merge import ADAPTERS
from engines.record import Ingredients, Measured


def run_gate(
    name: str,
    version: str | None,
    repository: Path,
    data: Path | None = None,
    base_folder: Path | None = None,
    adapters: Path = ADAPTERS,
) -> dict[str, Any]:
    """Measure a version, by default the served one, and say yes or no with the reasons.

    Returns:
        `model`, `version`, `passed`, `reasons`, and what was measured: `drift`, `invariance`,
        `accuracy`.

    Raises:
        EngineError: there is no such engine, or what it was made of is not here to compare with.
    """
    (spec,) = specs([name])
    folder = _version_folder(repository / name, version)
    card = _card(folder)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status(f"{name} {folder.name}: measuring against the unquantized graph"):
        ingredients = ingredients_of(spec, base.ensure_base(base_folder), adapters)
        _require_same_origin(card, ingredients)
        measured = Measured(ingredients, folder, reference_graph(ingredients))
        material = default_material(spec, data)
        drift, invariance = measured.held_still(material.probes)
        accuracies = measured.accuracies(material.labelled)
    verdict = gate.judge(drift, invariance, accuracies)
    changed = [
        f"{file} is not the file that the card was made for"
        for file, *_ in changed_files(folder, card)
    ]
    reasons = [*changed, *verdict.reasons]
    said = "passes the gate" if not reasons else f"is refused: {'; '.join(reasons)}"
    console.print(f"{name} {folder.name} {said}.", markup=False)
    return {
        "model": name,
        "version": folder.name,
        "passed": not reasons,
        "reasons": reasons,
        "drift": drift.model_dump(mode="json"),
        "invariance": invariance.model_dump(mode="json"),
        "accuracy": [figures.model_dump(mode="json") for figures in accuracies],
    }


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
        raise EngineError(
            f"version {card.version} of {card.name} was made of another base or adapter than "
            f"those here, so there is nothing to measure it against; its card says what its own "
            f"gate found"
        )

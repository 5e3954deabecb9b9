"""Builds the default engines that are not up to date."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard
from core.versions import versions_of
from engines import base
from engines.catalog import CATALOG, specs
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.how_made import how_to_make
from engines.listing import card_of, is_served
from engines.making import ingredients_of, make_version
from engines.material import default_material
from engines.merge import ADAPTERS
from engines.model_config import CONFIG_FILE, is_tuned, write_model_files
from engines.plan_config import require_backend
from engines.record import Ingredients
from engines.room import full_disk_told, require_room
from engines.whole_file import new_folder

VERSION = "1"
# What an INT8 engine of the base takes with its tokenizer and card: 24.0 MB. One that is replaced
# stays until the other is whole.
VERSION_BYTES = 25_000_000


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
    _require_default(names, repository)
    chosen = specs(names)
    for spec in chosen:
        require_backend(repository / spec.name, is_plan=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        fetching = progress.add_task("base encoder: finding and verifying", total=1)
        folder = base.ensure_base(base_folder)
        progress.update(fetching, completed=1, description=f"base encoder: {base.BASE_NAME}")
        # All are verified before the first is built, which takes far longer.
        verified = [ingredients_of(spec, folder, adapters) for spec in chosen]
        return [_build_one(each, repository, data, force, progress) for each in verified]


def _require_default(names: Sequence[str] | None, repository: Path) -> None:
    """Raise, with the command that does make it, for a model that was imported or trained."""
    for name in names or ():
        versions = [] if name in CATALOG else versions_of(repository / name)
        card = card_of(versions[-1]) if versions else None
        if card is not None:
            raise EngineError(
                f"{name} is none of the default models, which `build` makes. "
                f"{how_to_make(name, card)}"
            )


def _build_one(
    ingredients: Ingredients,
    repository: Path,
    data: Path | None,
    force: bool,
    progress: Progress,
) -> EngineCard:
    spec = ingredients.spec
    step = progress.add_task(f"{spec.name}: verifying", total=1)
    target = repository / spec.name / VERSION
    config = target.with_name(CONFIG_FILE)
    card = None if force else card_of(target)
    if card and _is_current(card, target, ingredients, data):
        if not config.is_file():
            write_model_files(spec, repository)
        progress.update(step, completed=1, description=f"{spec.name}: up to date")
        return card
    was_tuned = is_tuned(config)
    card = _made(
        ingredients,
        target,
        data,
        told=lambda doing: progress.update(step, description=f"{spec.name}: {doing}"),
    )
    note = ""
    if was_tuned:  # what was tuned went with the version that it was measured on
        note = f"; its tuning is undone, `sub50 engines tune {spec.name}` tunes it again"
    if not is_served(card, repository):
        note += (
            f"; another version is served, `sub50 engines promote {spec.name} {VERSION}` serves it"
        )
    progress.update(step, completed=1, description=f"{spec.name}: built, gate passed{note}")
    return card


def _made(
    ingredients: Ingredients, target: Path, data: Path | None, told: Callable[[str], None]
) -> EngineCard:
    """Make the version folder `target`, and the model's configuration where it has none that fits.

    A model that was not there is not there afterwards either, where that fails.
    """
    spec, folder = ingredients.spec, target.parent
    config = folder / CONFIG_FILE
    require_room(folder, VERSION_BYTES)
    with full_disk_told(folder, VERSION_BYTES), new_folder(folder):
        card = make_version(ingredients, lambda: default_material(spec, data), target, told)
        # Last, since whoever serves takes a folder that has one for a model.
        if not config.is_file() or is_tuned(config):
            write_model_files(spec, folder.parent)
    return card


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

"""Finds the version folder that a command on one engine means: a name, a version, or a folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from core.card import CARD_FILE, ENGINE_FILE, PLAN_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.checksums import engine_files
from core.versions import VersionError, names, served_folder, versions_of
from engines.errors import EngineError
from engines.plain_graph import require_plain


def engine_folder(engine: str, repository: Path) -> Path:
    """The version folder that `engine` names.

    Args:
        engine: a model's name (the version served), `NAME@VERSION`, or a version folder anywhere.
        repository: the folder with the models.

    Raises:
        EngineError: there is none; says what there is.
    """
    path = Path(engine).expanduser()
    if (path / CARD_FILE).is_file():
        return path
    if len(path.parts) != 1 or engine in (".", ".."):
        raise EngineError(f"{path} is not a version folder: there is no {CARD_FILE} in it")
    name, _, version = engine.partition("@")
    model = repository / name
    if not versions_of(model):
        known = sorted(path.name for path in repository.glob("*") if versions_of(path))
        raise EngineError(
            f"no engine {name} in {repository}; there are: {', '.join(known) or 'none'}. Or name "
            "a version folder, such as made/sentiment/1"
        )
    try:
        found = model / version if version else served_folder(model)
    except VersionError as error:
        raise EngineError(str(error)) from error
    if found not in versions_of(model):
        raise EngineError(
            f"no version {version} of {name}; versions there: {names(versions_of(model))}"
        )
    return found


def engine_card(folder: Path) -> EngineCard:
    """The card of a version folder that has all that running it needs.

    Raises:
        EngineError: a file is missing, or the card cannot be read; names it.
    """
    try:
        card = read_card(folder)
    except (OSError, ValidationError) as error:
        raise EngineError(f"{folder} has no card that can be read: {error}") from error
    served = card.tuning.engine_file if card.tuning else ENGINE_FILE
    plan = (PLAN_FILE,) if card.plan else ()
    for file in dict.fromkeys((ENGINE_FILE, served, *plan, TOKENIZER_FILE)):
        if not (folder / file).is_file():
            raise EngineError(f"{folder} lacks {file}; build or import the engine anew")
    for path in engine_files(folder, card):
        require_plain(path)
    return card

"""Puts another version of an engine in the place of the one that is served, or takes it back.

On disk that is a new version folder and a line in a state file (`core/versions.py`). Where a
service runs over the same repository it is told, tries the version out, and switches without
losing a request (`service/promotion.py`). Whatever fails, the version that served before still
does.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.card import (
    CARD_FILE,
    ENGINE_FILE,
    PLAN_FILE,
    TOKENIZER_FILE,
    EngineCard,
    read_card,
    write_card,
)
from core.checksums import engine_files
from core.control import ControlError, Progress, tell
from core.plan import HOW
from core.versions import (
    Served,
    VersionError,
    conflicts,
    names,
    promotion_lock,
    read_served,
    served_folder,
    versions_of,
    whole_card,
    write_served,
)
from engines.checksums import changed_files
from engines.errors import PromotionError
from engines.model_config import CONFIG_FILE, read_config
from engines.plain_graph import require_plain
from engines.plan_target import unfit_here

INCOMING = ".incoming-"


@dataclass(frozen=True)
class Shadow:
    """For how long a candidate is asked copies of live requests, and which share of them (0 to 1).

    `on_progress` is called every second with the figures so far.
    """

    seconds: float
    share: float
    on_progress: Progress


def promote(
    name: str,
    candidate: str,
    repository: Path,
    force: bool = False,
    shadow: Shadow | None = None,
) -> dict[str, Any]:
    """Serve another engine of a model from now on.

    Args:
        name: the model.
        candidate: a version folder made elsewhere, which is copied in as the next version, or the
            number of a version that is there.
        repository: the model repository.
        force: let its labels, and its answers to golden requests, differ from what is served.
        shadow: ask it what clients ask of the running service first, and promote it if it holds.

    Returns:
        What happened: `model`, `version`, `before`, `service` (whether one was told), and what
        that one found.

    Raises:
        EngineError: it cannot be served; the version before still is, and nothing is left of the
            candidate.
    """
    folder = _model_folder(name, repository)
    with _locked(folder):
        served = _served_card(folder)
        is_version = candidate.isdecimal() and (folder / candidate).is_dir()
        source = folder / candidate if is_version else Path(candidate)
        card = _checked(source, folder, served, force)
        # Before a newer folder appears, which would serve where nothing is said.
        if read_served(folder) is None:
            write_served(folder, Served(version=served.version))
        version = candidate if is_version else _copied_in(source, card, folder)
        if version == served.version:
            raise PromotionError(f"version {version} of {name} serves already")
        message = {"do": "promote", "model": name, "version": version, "force": force}
        try:
            if shadow is not None:
                return _shadow(folder, message, shadow)
            return _tell_or_write(folder, served.version, message)
        except (_Refused, VersionError) as refused:
            if not is_version:
                shutil.rmtree(folder / version, ignore_errors=True)
            raise PromotionError(str(refused)) from refused


def rollback(name: str, repository: Path) -> dict[str, Any]:
    """Serve the version again that served before; returns like `promote`.

    Raises:
        EngineError: there is none, or it does not answer; the version before still serves.
    """
    folder = _model_folder(name, repository)
    with _locked(folder):
        served = _served_card(folder)
        state = (read_served(folder) or Served(version=served.version)).rolled_back(folder)
        _require_files(folder / state.version, folder)
        message = {"do": "rollback", "model": name}
        try:
            return _tell_or_write(folder, served.version, message)
        except _Refused as refused:
            raise PromotionError(str(refused)) from refused


class _Refused(Exception):
    """The running service did not take the version; its reason."""


def _shadow(folder: Path, message: dict[str, Any], shadow: Shadow) -> dict[str, Any]:
    """Have the running service ask the candidate what it is asked, and switch if that holds."""
    message |= {"shadow_seconds": shadow.seconds, "shadow_share": shadow.share}
    try:
        answer = tell(folder.parent, message, on_progress=shadow.on_progress)
    except ControlError as error:
        raise _unclear(folder.name, error) from error
    if answer is None:
        raise _Refused(
            f"--shadow needs live requests, and no `sub50 serve` runs on {folder.parent}; start "
            "it, or promote without --shadow"
        )
    return _taken(answer)


def _tell_or_write(folder: Path, before: str, message: dict[str, Any]) -> dict[str, Any]:
    """Have the running service switch; where none runs, write what the next one is to serve."""
    repository, name = folder.parent, folder.name
    try:
        answer = tell(repository, message)
        if answer is None:
            state = read_served(folder) or Served(version=before)
            if message["do"] == "promote":
                write_served(folder, state.promoted(message["version"]))
            else:
                write_served(folder, state.rolled_back(folder))
            version = _served_card(folder).version
            # One that was started meanwhile may have read the state before it was written.
            late = {"do": "promote", "model": name, "version": version, "force": True}
            answer = tell(repository, late)
            if answer is None:
                return {"model": name, "version": version, "before": before, "service": False}
            if not answer.get("ok"):
                write_served(folder, state)
    except ControlError as error:
        raise _unclear(name, error) from error
    return _taken(answer)


def _unclear(name: str, error: ControlError) -> PromotionError:
    return PromotionError(f"{error}; `sub50 engines list` shows which version of {name} serves")


def _taken(answer: dict[str, Any]) -> dict[str, Any]:
    """What the service found. Raises _Refused, with its reason, if it did not switch."""
    if not answer.get("ok"):
        raise _Refused(str(answer.get("error")))
    return {**{k: v for k, v in answer.items() if k != "ok"}, "service": True}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The model held for this command alone, without what a killed one left."""
    try:
        with promotion_lock(folder):
            for left in folder.glob(f"{INCOMING}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except VersionError as error:
        raise PromotionError(str(error)) from error


def _model_folder(name: str, repository: Path) -> Path:
    there = sorted(path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))
    if name not in there:
        raise PromotionError(
            f"no model {name} in {repository}; there are: {', '.join(there) or 'none'}"
        )
    return repository / name


def _served_card(folder: Path) -> EngineCard:
    version = served_folder(folder)
    if version is None:
        raise PromotionError(
            f"no version of {folder.name} is served yet; `sub50 engines build {folder.name}` first"
        )
    return whole_card(version)


def _checked(source: Path, folder: Path, served: EngineCard, force: bool) -> EngineCard:
    """The card of a candidate whose files are what the card says and that may be served."""
    if not source.is_dir():
        raise PromotionError(
            f"{source} is neither a folder with an engine nor a version of {folder.name}; "
            f"versions there: {names(versions_of(folder))}"
        )
    _require_files(source, folder)
    try:
        card = read_card(source)
    except ValidationError as error:
        raise PromotionError(f"{source / CARD_FILE} is not a card: {error}") from error
    for file, found, expected in changed_files(source, card):
        raise PromotionError(
            f"{source / file} is not the file that its card was made for (SHA-256 "
            f"{found[:12]}…, the card says {expected[:12]}…); build it anew"
        )
    for path in engine_files(source, card):
        require_plain(path)
    against = conflicts(served, card, force) + unfit_here(card)
    if against:
        raise PromotionError(f"{source} cannot be served as {folder.name}: {'; '.join(against)}")
    return card


def _require_files(version: Path, folder: Path) -> None:
    """Raise unless a version folder has all that is served, config.pbtxt's engine file too."""
    engine_file = read_config(folder / CONFIG_FILE).default_model_filename or ENGINE_FILE
    for file in dict.fromkeys((ENGINE_FILE, engine_file, TOKENIZER_FILE, CARD_FILE)):
        if not (version / file).is_file():
            hint = ""
            if file == PLAN_FILE:
                hint = f", which {folder.name} is served by here; build one {HOW}"
            elif file not in (ENGINE_FILE, TOKENIZER_FILE, CARD_FILE):
                hint = (
                    f", which {folder.name} was tuned to; go back with "
                    f"`sub50 engines tune {folder.name} --reset`"
                )
            raise PromotionError(f"{version} lacks {file}{hint}")


def _copied_in(source: Path, card: EngineCard, folder: Path) -> str:
    """Copy a candidate in as the next version, whole or not at all; returns its number."""
    config = read_config(folder / CONFIG_FILE)
    newest = versions_of(folder)[-1]
    version = str(int(newest.name) + 1)
    partial: Path | None = None
    try:
        # Inside the model, where Triton passes over folders that are not version numbers.
        partial = Path(tempfile.mkdtemp(prefix=INCOMING, dir=folder))
        files = [ENGINE_FILE, config.default_model_filename or ENGINE_FILE, TOKENIZER_FILE]
        files += [PLAN_FILE] if card.plan else []
        for file in dict.fromkeys(files):
            shutil.copyfile(source / file, partial / file)
        write_card(card.model_copy(update={"version": version, "backend": config.backend}), partial)
        partial.chmod(0o755)  # temporary folders are private; Triton may run as another user
        partial.rename(folder / version)
    except OSError as error:
        raise PromotionError(
            f"cannot copy {source} to {folder / version}: {error.strerror}; the engine that "
            "served before still does"
        ) from error
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return version

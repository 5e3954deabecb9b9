"""Which version of a model is served, and which were before: a state file beside the model.

`model_repository/<model>.served.json` names the version folder that serves. Without it, the newest
one does. It is written by a promotion, and read by the service and by the check before Triton
starts, so that all of them mean the same folder. It lies beside the model and not in it: Triton
loads every version anew when a file beside them has changed.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.card import CARD_FILE, ENGINE_FILE, PLAN_FILE, TOKENIZER_FILE, EngineCard, read_card
from core.plan import of_version, plan_conflicts

# Enough to walk back through a bad week; the state file stays a line.
MOST_PREVIOUS = 20


class VersionError(Exception):
    """The versions of a model on disk cannot be used as asked. The message says what to do."""


class Served(BaseModel):
    """The state file. `previous` are the versions that served before, the last one last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str = Field(pattern=r"^\d+$")
    previous: tuple[str, ...] = ()

    def promoted(self, version: str) -> Served:
        """The state once another version serves. A version stands among the previous ones once."""
        before = [each for each in (*self.previous, self.version) if each != version]
        return Served(version=version, previous=tuple(before[-MOST_PREVIOUS:]))

    def rolled_back(self, folder: Path) -> Served:
        """The state once the version that served before this one, and still is there, does.

        Raises:
            VersionError: there is none.
        """
        there = [each for each in self.previous if (folder / each).is_dir()]
        if not there:
            raise VersionError(
                f"model {folder.name} has no earlier version to go back to; version "
                f"{self.version} serves. `sub50 engines list` shows what there is"
            )
        return Served(version=there[-1], previous=tuple(there[:-1]))


def served_path(folder: Path) -> Path:
    """Where the state of a model is."""
    return folder.parent / f"{folder.name}.served.json"


def versions_of(folder: Path) -> list[Path]:
    """The version folders of a model, the oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if path.is_dir() and path.name.isdecimal()]
    return sorted(found, key=lambda path: int(path.name))


def read_served(folder: Path) -> Served | None:
    """What the state file of a model says; None where there is none.

    Raises:
        VersionError: it cannot be read as a state file.
    """
    path = served_path(folder)
    try:
        return Served.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise VersionError(
            f"{path} does not say which version is served ({what_is_wrong(error)}); remove it "
            f'to serve the newest, or write {{"version": "1"}}'
        ) from error


def served_folder(folder: Path) -> Path | None:
    """The version folder of a model that is served; None where the model has no version.

    Raises:
        VersionError: the state file is malformed or names a version that is not there.
    """
    served = read_served(folder)
    if served is None:
        versions = versions_of(folder)
        return versions[-1] if versions else None
    version = folder / served.version
    if not version.is_dir():
        raise VersionError(
            f"{served_path(folder)} names version {served.version}, but there is no {version} "
            f"(versions there: {names(versions_of(folder))}); put it back, or remove that file to "
            "serve the newest"
        )
    return version


def write_served(folder: Path, served: Served) -> None:
    """Replace the state file, whole or not at all.

    Raises:
        VersionError: it cannot be written.
    """
    path = served_path(folder)
    text = json.dumps(served.model_dump(mode="json")) + "\n"
    partial: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        partial = Path(name)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        if partial is not None:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
        raise VersionError(f"cannot write {path}: {error.strerror}") from error


def whole_card(version: Path) -> EngineCard:
    """The card of a version folder that has all that serving needs.

    Raises:
        VersionError: a file is missing, or the card is not one or not this version's; names it.
    """
    if not version.is_dir():
        raise VersionError(
            f"model {version.parent.name!r} has no version {version.name}; versions there: "
            f"{names(versions_of(version.parent))}"
        )
    for name in (ENGINE_FILE, TOKENIZER_FILE, CARD_FILE):
        if not (version / name).is_file():
            raise VersionError(f"model {version.parent.name!r} lacks {version / name}")
    try:
        card = read_card(version)
    except (OSError, ValidationError) as error:
        raise VersionError(
            f"{version / CARD_FILE} is not a card: {what_is_wrong(error)}"
        ) from error
    if card.plan is not None and not (version / PLAN_FILE).is_file():
        raise VersionError(f"model {version.parent.name!r} lacks {version / PLAN_FILE}")
    if card.name != version.parent.name:
        raise VersionError(f"{version / CARD_FILE} is the card of {card.name!r}")
    if card.version != version.name:
        raise VersionError(
            f"{version / CARD_FILE} is the card of version {card.version!r}, the folder is "
            f"version {version.name}"
        )
    return card


def what_is_wrong(error: OSError | ValidationError) -> str:
    """Why a file cannot be used, on one line; of several things the first."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(map(str, first["loc"]))
    return f"{field}: {first['msg']}" if field else first["msg"]


def conflicts(served: EngineCard, candidate: EngineCard, force: bool = False) -> list[str]:
    """Why `candidate` cannot take the place of `served`; empty where it can.

    The configuration belongs to the model, so task, kind and width of the answer stay as they are;
    with `force` the labels may be others.
    """
    found = []
    if candidate.name != served.name:
        found.append(f"it is an engine of {candidate.name!r}, not of {served.name!r}")
    for field in ("task", "output"):
        before, after = getattr(served, field), getattr(candidate, field)
        if after != before:
            found.append(f"its {field} is {after!r}, that of version {served.version} {before!r}")
    if len(candidate.labels) != len(served.labels):
        found.append(f"it has {len(candidate.labels)} labels, not {len(served.labels)}")
    elif candidate.labels != served.labels and not force:
        found.append(
            f"its labels are {', '.join(candidate.labels)}, not {', '.join(served.labels)} "
            "(--force serves other labels)"
        )
    if candidate.problem_type != served.problem_type and not force:
        found.append(
            f"its problem type is {candidate.problem_type}, not {served.problem_type} "
            "(--force serves another)"
        )
    found += plan_conflicts(candidate, of_version(served))
    if not candidate.gate.passed:
        found.append(f"its gate was not passed: {'; '.join(candidate.gate.reasons)}")
    return found


@contextmanager
def promotion_lock(folder: Path) -> Iterator[None]:
    """Hold a model for one promotion. The kernel lets go of it when the holder dies.

    Raises:
        VersionError: another promotion holds it, or the folder cannot be written.
    """
    path = folder.parent / f".{folder.name}.promotion.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise VersionError(f"cannot open {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise VersionError(
                f"another promotion of {folder.name} is under way; try again once it is through"
            ) from error
        yield
    finally:
        os.close(descriptor)


def names(versions: Sequence[Path]) -> str:
    """Version folders as a list for people."""
    return ", ".join(path.name for path in versions) or "none"

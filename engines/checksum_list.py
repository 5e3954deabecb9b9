"""A list of the files that are served and their SHA-256, as `sha256sum` writes and checks it.

It is kept with the deployment, apart from the engines: a card vouches for the engine beside it, the
list for the card too, and for nothing but these engines being there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from core.checksums import engine_files
from core.versions import VersionError, served_folder, whole_card
from engines.checksums import changed_files, file_sha256
from engines.errors import EngineError
from engines.model_config import CONFIG_FILE, LABELS_FILE
from engines.plain_graph import require_plain

LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")
WRITE_HINT = "write it with `sub50 engines checksums > FILE`, where the engines were built"
# A wrong folder differs in every file; the first few say enough.
MOST_FAULTS = 5


def served_files(repository: Path) -> dict[str, Path]:
    """Everything that is served: configuration, labels, and the version that serves, of each model.

    Returns paths within the repository, in order, with where they are.

    Raises:
        EngineError: there is no model; or one lacks a file, has not passed its gate, or has other
            bytes than its card says.
    """
    models = sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}"))
    if not models:
        raise EngineError(
            f"no models in {repository.resolve()}; build them with `sub50 engines build`"
        )
    files: dict[str, Path] = {}
    for model in models:
        version = _served_version(model)
        found = [model / CONFIG_FILE, model / LABELS_FILE, *sorted(version.rglob("*"))]
        for path in found:
            if path.is_file():
                files[path.relative_to(repository).as_posix()] = path
    return files


def checksum_lines(repository: Path) -> list[str]:
    """The list of what is served, a line a file. Raises EngineError like `served_files`."""
    files = served_files(repository)
    return [f"{file_sha256(path)}  {name}" for name, path in files.items()]


def read_checksums(path: Path) -> dict[str, str]:
    """SHA-256 of each file in a list. Empty lines and those that begin with # say nothing.

    Raises:
        EngineError: it cannot be read, lists nothing, or has a line that is none; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"cannot read the list of checksums {path}: {error}") from error
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = LINE.fullmatch(line.rstrip())
        if match is None or not _is_inside(match[2]):
            raise EngineError(
                f"{path}, line {number} is not a SHA-256 and a path within the repository, "
                f"as sha256sum writes them; {WRITE_HINT}"
            )
        listed[match[2].removeprefix("./")] = match[1]
    if not listed:
        raise EngineError(f"{path} lists no file; {WRITE_HINT}")
    return listed


def check_listed(files: Mapping[str, Path], listed: Mapping[str, str], where: str) -> None:
    """Compare files with a list of checksums; `where` names the list for the message.

    Raises:
        EngineError: a file differs, or only one of the two knows it; names up to five.
    """
    faults = [f"{name} is listed and not there" for name in sorted(set(listed) - set(files))]
    for name, path in files.items():
        if name not in listed:
            faults.append(f"{name} is there and not listed")
        elif (found := file_sha256(path)) != listed[name]:
            faults.append(f"{name} has SHA-256 {found[:12]}…, {listed[name][:12]}… is listed")
    if faults:
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise EngineError(
            f"these are not the engines of {where}: {'; '.join(faults[:MOST_FAULTS])}{more}. "
            f"Deliver the engines that it was written for, or {WRITE_HINT}"
        )


def _served_version(model: Path) -> Path:
    """The version folder of a model that is served, with its files as its card says."""
    try:
        version = served_folder(model)
        if version is None:
            raise EngineError(f"model {model.name!r} has no engine in {model}")
        card = whole_card(version)
    except VersionError as error:
        raise EngineError(str(error)) from error
    if not card.gate.passed:
        raise EngineError(f"{version} did not pass its gate: {'; '.join(card.gate.reasons)}")
    for name, found, expected in changed_files(version, card):
        raise EngineError(
            f"{version / name} is damaged or another file: its SHA-256 is {found[:12]}…, the card "
            f"says {expected[:12]}…; copy the folder anew or build the engine again"
        )
    for path in engine_files(version, card):
        require_plain(path)
    return version


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts

"""SHA-256 of files, and whether those of a version are the ones that its card was made for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from core.card import CARD_FILE, ENGINE_FILE, PLAN_FILE, TOKENIZER_FILE, EngineCard
from core.onnx_file import EngineFileError, check_engine_file

ONNX = Path(ENGINE_FILE).suffix


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recorded_files(card: EngineCard) -> dict[str, str]:
    """The files of a version that decide its answers, by name, with the SHA-256 of the card.

    That is empty for an engine file of a tuning which recorded none.
    """
    recorded = {ENGINE_FILE: card.engine_sha256, TOKENIZER_FILE: card.tokenizer_sha256}
    if card.tuning is not None and card.tuning.engine_file != ENGINE_FILE:
        recorded[card.tuning.engine_file] = card.tuning.engine_sha256
    if card.plan is not None:
        recorded[PLAN_FILE] = card.plan.plan_sha256
    return recorded


def changed_files(folder: Path, card: EngineCard) -> Iterator[tuple[str, str, str]]:
    """The files of a version folder that its card was not made for: name, SHA-256 found, the
    card's. What tuning would serve need not be there."""
    for name, expected in recorded_files(card).items():
        if name not in (ENGINE_FILE, TOKENIZER_FILE) and not (folder / name).exists():
            continue
        found = file_sha256(folder / name)
        if found != expected:
            yield name, found, expected


def engine_files(folder: Path, card: EngineCard) -> list[Path]:
    """The engine files of a version folder that are ONNX: as built, and what tuning laid beside
    it. A plan is none: what it was made of is."""
    names = (name for name in recorded_files(card) if Path(name).suffix == ONNX)
    return [folder / name for name in names if name == ENGINE_FILE or (folder / name).exists()]


def require_recorded(folder: Path, card: EngineCard, name: str) -> None:
    """Raise EngineFileError unless a file of a version folder is the one its card was made for."""
    expected = recorded_files(card).get(name)
    if not expected:
        raise EngineFileError(
            f"{folder / name}: {folder / CARD_FILE} has no checksum of it; tune the model again "
            f"(`sub50 engines tune {card.name}`), or go back with `--reset`"
        )
    try:
        found = file_sha256(folder / name)
    except OSError as error:
        raise EngineFileError(f"{folder / name} cannot be read: {error.strerror}") from error
    if found != expected:
        raise EngineFileError(
            f"{folder / name}: it is damaged or another file than the card was made for (SHA-256 "
            f"{found[:12]}…, the card says {expected[:12]}…); copy the folder anew, or build the "
            "engine again"
        )


def require_engine(folder: Path, card: EngineCard, name: str = ENGINE_FILE) -> None:
    """Raise EngineFileError unless an engine file is the card's, and plain ONNX in one file."""
    require_recorded(folder, card, name)
    check_engine_file(folder / name)

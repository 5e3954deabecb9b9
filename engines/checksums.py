"""SHA-256 of files and of values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def value_sha256(value: object) -> str:
    """Hexadecimal SHA-256 of a value that JSON can hold, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def changed_files(folder: Path, card: EngineCard) -> Iterator[tuple[str, str, str]]:
    """The files of a version folder that its card was not made for: name, SHA-256 found, the
    card's."""
    recorded = {ENGINE_FILE: card.engine_sha256, TOKENIZER_FILE: card.tokenizer_sha256}
    for name, expected in recorded.items():
        found = file_sha256(folder / name)
        if found != expected:
            yield name, found, expected

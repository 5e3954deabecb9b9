"""The folder of an adapter and its card: found by name, and written whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.merge import ADAPTER_FILE, ADAPTERS, CARD_FILE


def named_folder(given: str, option: str) -> Path:
    """The folder of a default model's adapter that is named, or of any, given as a path.

    Args:
        given: the name or the path.
        option: what it was given as, for the error.

    Raises:
        EngineError: there is none.
    """
    for folder in (ADAPTERS / given, Path(given)):
        if (folder / ADAPTER_FILE).is_file():
            return folder
    there = ", ".join(sorted(path.parent.name for path in ADAPTERS.glob(f"*/{ADAPTER_FILE}")))
    raise EngineError(f"{option} {given}: neither a folder with {ADAPTER_FILE} nor one of {there}")


def write_folder(
    out: Path, save: Callable[[Path], None], card: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    """Write an adapter and its card into `out`; returns the card.

    Both are written whole elsewhere first, so that a full disk leaves `out` as it was.

    Args:
        out: the folder to write into; made where it is missing.
        save: writes the adapter to a path.
        card: what the card says of an adapter with that SHA-256.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        staged = Path(folder)
        save(staged / ADAPTER_FILE)
        record = card(file_sha256(staged / ADAPTER_FILE))
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (staged / CARD_FILE).write_text(text, encoding="utf-8")
        out.mkdir(exist_ok=True)
        for name in (ADAPTER_FILE, CARD_FILE):
            (staged / name).replace(out / name)
    return record

"""The bytes of an engine file, once they are those that its card was made for.

Whoever starts an engine comes through here: the first start, a promotion, a restart after a crash.
The runtime is given the bytes that were checked, and does not read the file a second time.

Lies beside every backend's `model.py`: it may import nothing of this project.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

CARD_FILE = "card.json"
ENGINE_FILE = "model.onnx"


def verified_bytes(path: Path) -> bytes:
    """Contents of an engine file. Raises ValueError unless its SHA-256 is the card's."""
    expected = recorded_sha256(path)
    contents = path.read_bytes()
    found = hashlib.sha256(contents).hexdigest()
    if found != expected:
        raise ValueError(
            "it is damaged or another file than the card was made for (SHA-256 "
            f"{found[:12]}…, the card says {expected[:12]}…); copy the folder anew, or build the "
            "engine again"
        )
    return contents


def recorded_sha256(path: Path) -> str:
    """What the card beside an engine file says of it. Raises ValueError if it says nothing."""
    card = json.loads((path.parent / CARD_FILE).read_bytes())
    if path.name == ENGINE_FILE:
        return str(card["engine_sha256"])
    tuning = card.get("tuning") or {}
    if tuning.get("engine_file") != path.name or not tuning.get("engine_sha256"):
        raise ValueError(f"{CARD_FILE} has no checksum of it; tune the model again")
    return str(tuning["engine_sha256"])

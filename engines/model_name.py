"""What a model may be called: its name is a folder, a part of addresses, and an argument."""

from __future__ import annotations

import re

from engines.errors import EngineError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def require_name(name: str, given_as: str) -> None:
    """Raise EngineError unless a model can be called that; `given_as` is how the user gave it."""
    if not NAME.fullmatch(name):
        raise EngineError(
            f"{given_as} {name!r}: use letters, digits, '_', '-' and '.', and begin with one of "
            "the first two"
        )

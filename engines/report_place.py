"""Where a page may be written: checked before anything is measured."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from engines.errors import EngineError


def require_packages(*names: str) -> None:
    """Raise EngineError unless the packages that a page is made with are installed."""
    for name in names:
        if find_spec(name) is None:
            raise EngineError(f"the page needs {name}: `pip install 'sub50[evaluate]'`")


def require_place(option: str, target: Path) -> None:
    """Raise EngineError, naming the option, unless a folder can be written to or made."""
    here = target.absolute()
    # Triton loads a model anew when something in its folder has changed.
    if any((each / "config.pbtxt").is_file() for each in (here, *here.parents)):
        raise EngineError(f"{option} {target} lies inside a model; name a folder elsewhere")
    there = next(each for each in (here, *here.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise EngineError(f"{option} {target}: {there} is no folder that can be written to")

"""Triton backends, one folder each, named as NVIDIA names the C++ backend it stands in for.

`SHARED` are modules that every one of them imports: they are laid beside its `model.py`. Their
names are long, because a backend finds them as top-level modules.
"""

from __future__ import annotations

from pathlib import Path

SOURCES = {path.parent.name: path for path in sorted(Path(__file__).parent.glob("*/model.py"))}
SHARED = sorted(Path(__file__).parent.glob("sub50_*.py"))

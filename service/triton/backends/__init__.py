"""Triton backends, one folder each, named as NVIDIA names the C++ backend it stands in for.

`SHARED` are modules that they import: they are laid beside each `model.py`. Their names are long,
because a backend finds them as top-level modules. One is of `core`, because engines are measured
with it too.
"""

from __future__ import annotations

from pathlib import Path

SOURCES = {path.parent.name: path for path in sorted(Path(__file__).parent.glob("*/model.py"))}
CORE = Path(__file__).parents[3] / "core"
SHARED = [*sorted(Path(__file__).parent.glob("sub50_*.py")), CORE / "sub50_cuda.py"]

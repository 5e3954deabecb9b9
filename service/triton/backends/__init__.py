"""Triton backends, one folder each, named as NVIDIA names the C++ backend it stands in for."""

from __future__ import annotations

from pathlib import Path

SOURCES = {path.parent.name: path for path in sorted(Path(__file__).parent.glob("*/model.py"))}

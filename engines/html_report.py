"""Writes sections of text, tables and figures as one HTML page without scripts or network."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from engines.whole_file import whole_file

TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Table:
    """Rows of cells as they are to be read; the first column names the row."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing as an `<svg>` element, with what it says in words."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading, then paragraphs, tables and figures in this order."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Banner:
    """The answer above all: `outcome` is pass, fail or neutral, and colours it."""

    outcome: str
    text: str
    reasons: tuple[str, ...] = ()


def write_page(path: Path, title: str, banner: Banner | None, sections: Sequence[Section]) -> Path:
    """Write the page, whole or not at all; equal arguments give equal bytes. Returns `path`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        title=title, banner=banner, sections=sections
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(page, encoding="utf-8")
    return path


def inline_svg(drawing: str, label: str) -> str:
    """A drawing as matplotlib writes it, less its XML prologue, named for screen readers."""
    start = drawing.index("<svg")
    name = html.escape(label, quote=True)
    return f'<svg role="img" aria-label="{name}"{drawing[start + len("<svg") :]}'

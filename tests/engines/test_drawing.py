"""Drawings that stand side by side in one page."""

from __future__ import annotations

import re
import sys

import pytest
from matplotlib.figure import Figure

from engines.bar_chart import Bar, horizontal_bars
from engines.drawing import draw_svg, require_matplotlib
from engines.errors import EngineError

BARS = [Bar("first", 3.0, (2.5, 3.5), ours=True), Bar("second", 2.0)]


def identifiers(svg: str) -> set[str]:
    return set(re.findall(r'\bid="([^"]*)"', svg))


def test_drawings_of_one_page_share_no_identifiers() -> None:
    one, other = horizontal_bars(BARS, "share, %"), horizontal_bars(BARS, "words, %")
    assert identifiers(one)
    assert not identifiers(one) & identifiers(other)
    for svg in (one, other):
        named = {*re.findall(r'href="#([^"]*)"', svg), *re.findall(r"url\(#([^)]*)\)", svg)}
        assert named
        assert named <= identifiers(svg), "what a part refers to is there"


def test_equal_figures_give_equal_bytes_and_text_stays_text() -> None:
    def draw(figure: Figure) -> None:
        figure.add_subplot().set_title("A title")

    drawn = [draw_svg("a & b", (3.0, 2.0), {"font.size": 9}, draw) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith('<svg role="img" aria-label="a &amp; b"')
    assert ">A title</text>" in drawn[0]
    assert "<dc:date>" not in drawn[0]


def test_it_says_what_brings_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EngineError, match=r"--plot needs matplotlib: .*sub50\[tune\]"):
        require_matplotlib("--plot", "tune")
    with pytest.raises(EngineError, match=r"the page needs matplotlib: .*sub50\[evaluate\]"):
        horizontal_bars(BARS, "share, %")

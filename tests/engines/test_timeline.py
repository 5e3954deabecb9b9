"""The drawing of a call: bars where they ran, to scale, and none lost for being short."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from engines.spans import COPY, KERNEL, Round, Span
from engines.timeline import (
    COLOURS,
    LEFT,
    RIGHT,
    WIDTH,
    Bar,
    joined_bars,
    milliseconds,
    timeline,
    tracks_of,
)

CALL = Round(
    1000,
    1000,
    (Span("dense", "MatMul", 1000, 500), Span('a "norm" <2>', "LayerNormalization", 1750, 250)),
    device=(Span("copy", COPY, 1100, 100, -1), Span("gemm", KERNEL, 1200, 900, -1)),
)


def rectangles(svg: str) -> dict[str, tuple[float, float, str]]:
    """Left edge, width and colour of each named bar."""
    root = ElementTree.fromstring(svg)
    namespace = "{http://www.w3.org/2000/svg}"
    found = {}
    for rectangle in root.iter(f"{namespace}rect"):
        title = rectangle.find(f"{namespace}title")
        if title is not None and title.text:
            place = float(rectangle.attrib["x"]), float(rectangle.attrib["width"])
            found[title.text] = (*place, rectangle.attrib["fill"])
    return found


def test_bars_stand_where_they_ran_and_say_what_they_are() -> None:
    svg = timeline(CALL, "One call")
    room = WIDTH - LEFT - RIGHT
    found = rectangles(svg)
    dense = found["dense, products, float: 0.5 ms"]
    assert dense == (LEFT, room / 2, COLOURS["products, float"])
    norm = found['a "norm" <2>, norms and activations: 0.25 ms']
    assert norm[:2] == (pytest.approx(LEFT + 0.75 * room), pytest.approx(room / 4))
    # What ends after the call ends with the drawing.
    gemm = found["gemm, kernel: 0.9 ms"]
    assert gemm[0] + gemm[1] == pytest.approx(WIDTH - RIGHT)
    assert [track.name for track in tracks_of(CALL)] == ["operators", "GPU"]
    assert "<script" not in svg
    assert set(re.findall(r'fill="([^"]+)"', svg)) <= {"currentColor", *COLOURS.values()}


def test_short_bars_become_one_and_keep_their_time() -> None:
    short = [Bar(f"n{i}", "other" if i % 3 else "quantizing", i * 0.1, 0.1) for i in range(10)]
    (one,) = joined_bars(short, least_us=1.5)
    assert (one.name, one.group, one.start_us) == ("10 short ones", "other", 0)
    assert one.length_us == pytest.approx(1.0)
    long = Bar("long", "other", 2, 5)
    names = [bar.name for bar in joined_bars([*short[:2], long, *short[2:3]], least_us=1.5)]
    assert names == ["2 short ones", "long", "n2"]


def test_gaps_are_not_painted_over() -> None:
    apart = [Bar("a", "other", 0, 0.1), Bar("b", "other", 50, 0.1)]
    assert list(joined_bars(apart, least_us=1)) == apart


def test_times_for_people() -> None:
    assert [milliseconds(each) for each in (0, 12.34, 2345.6, 1_234_567)] == [
        "0 ms",
        "0.0123 ms",
        "2.35 ms",
        "1235 ms",
    ]

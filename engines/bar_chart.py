"""Horizontal bars with intervals as an `<svg>` element, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engines.drawing import draw_svg, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, GREY = "#1f5fa8", "#868e96"
WIDTH_INCHES = 7.2
BAR_INCHES = 0.34


@dataclass(frozen=True)
class Bar:
    """One bar; `ours` gives it the colour that stands out."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    ours: bool = False


def horizontal_bars(
    bars: Sequence[Bar], axis: str, limits: tuple[float, float] | None = None
) -> str:
    """Draw bars from top to bottom in the given order.

    Args:
        bars: at least one.
        axis: what the values are, with the unit.
        limits: the ends of the axis; by default it begins at 0.

    Raises:
        EngineError: matplotlib is missing.
    """
    require_matplotlib("the page", "evaluate")

    def draw(figure: Figure) -> None:
        panel = figure.add_subplot()
        for place, bar in enumerate(bars):
            panel.barh(place, bar.value, height=0.7, color=BLUE if bar.ours else GREY)
            if bar.interval is not None:
                panel.plot(bar.interval, [place, place], color="black", linewidth=1.4)
        panel.set_yticks(range(len(bars)), [bar.name for bar in bars])
        panel.invert_yaxis()
        panel.set_xlim(*(limits or (min(0.0, *(bar.value for bar in bars), 0.0), None)))
        panel.set_xlabel(axis)
        panel.grid(visible=True, axis="x", alpha=0.3)
        panel.set_axisbelow(True)
        for side in ("top", "right"):
            panel.spines[side].set_visible(False)

    return draw_svg(axis, (WIDTH_INCHES, 0.8 + BAR_INCHES * len(bars)), {"font.size": 9}, draw)

"""Draws figures as `<svg>` elements that stand inside a page; equal figures give equal bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from engines.errors import EngineError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# matplotlib would write its own name and the date.
UNSAID = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def require_matplotlib(what: str, extra: str) -> None:
    """Raise EngineError unless figures can be drawn.

    Args:
        what: is drawn, as the error says.
        extra: of this package, which brings matplotlib.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise EngineError(f"{what} needs matplotlib: `pip install 'sub50[{extra}]'`") from None


def draw_svg(
    label: str,
    size_inches: tuple[float, float],
    style: Mapping[Any, Any],
    draw: Callable[[Figure], None],
) -> str:
    """What `draw` makes of an empty figure.

    Args:
        label: names the drawing for screen readers, and keeps its identifiers apart from those of
            other drawings in the page.
        size_inches: width and height.
        style: matplotlib's settings; text stays text.
        draw: called with the figure.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    file = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", **style, "svg.hashsalt": label}):
        figure = Figure(figsize=size_inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(file, format="svg", metadata=UNSAID)
    from engines.html_report import inline_svg  # it needs jinja2, which `--plot` does not

    svg = inline_svg(file.getvalue(), label)
    prefix = re.sub(r"\W+", "-", label)
    # Several drawings stand in one page, and each numbers its parts from 1.
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(before, f"{before}{prefix}-")
    return svg

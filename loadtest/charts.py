"""The report's charts, as SVG that stands inside a page.

Equal input gives equal bytes: no dates, and identifiers from a fixed salt.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from loadtest.percentiles import percentile
from loadtest.plan import Plan
from loadtest.records import OK, REFUSED, Records

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#c8700a", "#2b8a3e", "#c92a2a", "#868e96"
# Keyed by matplotlib's own settings, whose type is a literal of all their names.
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "sub50",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "grid.color": "#e9ecef",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.5,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.6,
}
WIDTH_INCHES = 8.0
PERCENTS = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999)
# More points than a chart is wide show nothing more.
MOST_BINS = 240


def latency_curve(records: Records, plan: Plan) -> str:
    """Latency in ms over percentile, the axis stretched towards 100 %.

    From the scheduled send (what a client feels) and from the actual send (what a load generator
    that waits for answers would claim). Where they part, the latter omits waiting.

    Args:
        records: of interactive kinds, warm-up dropped.
    """
    answered = records.outcome == OK
    scheduled_ms, sent_ms = records.latency_us / 1e3, records.service_us / 1e3

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if not answered.all():
            every_ms = np.where(answered, scheduled_ms, np.inf)
            _curve(axes, every_ms, RED, "-", "offered: what has no answer is infinitely late")
        _curve(axes, scheduled_ms[answered], BLUE, "-", "answered, from the scheduled send")
        _curve(axes, sent_ms[answered], ORANGE, "--", "answered, from the actual send")
        _budget(axes, plan.budget_ms)
        _percentile_axis(axes, len(records))
        _latency_axis(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)

    return _svg("latency", 3.6, draw)


def timeline(records: Records, plan: Plan) -> str:
    """Latency, rates and the generator's lag over the time of the scheduled send.

    Args:
        records: of interactive kinds, warm-up included.
    """
    bins = Bins(records, plan.total_seconds)

    def draw(figure: Figure) -> None:
        latency, rates, lag = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.5))
        _latency_panel(latency, bins, records, plan)
        _rates_panel(rates, bins, records)
        _lag_panel(lag, bins, records)
        for axes in (latency, rates, lag):
            axes.axvspan(0, plan.warm_up_seconds, color=GREY, alpha=0.12, linewidth=0)
            axes.set_xlim(0, bins.edges_seconds[-1])
        lag.set_xlabel("scheduled send, seconds from the start (grey: warm-up, not counted)")
        figure.align_ylabels()

    return _svg("timeline", 7.2, draw)


class Bins:
    """Requests by the second of their scheduled send; by several seconds in long runs."""

    def __init__(self, records: Records, span_seconds: float) -> None:
        self.width_seconds = max(1, int(np.ceil(span_seconds / MOST_BINS)))
        count = int(np.ceil(span_seconds / self.width_seconds))
        self.edges_seconds = np.arange(count + 1) * self.width_seconds
        self.middles_seconds = self.edges_seconds[:-1] + self.width_seconds / 2
        index = records.scheduled_us // (self.width_seconds * 1_000_000)
        self._members = [np.flatnonzero(index == bin_) for bin_ in range(count)]

    def percentiles(
        self, values: NDArray[np.float64], chosen: NDArray[np.bool_], percent: float
    ) -> NDArray[np.float64]:
        """A percentile of the chosen values of each bin; NaN where there are none."""
        found = [values[members[chosen[members]]] for members in self._members]
        return np.array([percentile(some, percent) for some in found])

    def per_second(self, chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Rate of the chosen requests in each bin."""
        counts = [np.count_nonzero(chosen[members]) for members in self._members]
        return np.array(counts) / self.width_seconds


def _latency_panel(axes: Axes, bins: Bins, records: Records, plan: Plan) -> None:
    axes.set_title("Latency of answers")
    answered, latency_ms = records.outcome == OK, records.latency_us / 1e3
    for percent, color, label in ((100, GREY, "largest"), (99, BLUE, "P99"), (50, GREEN, "P50")):
        values_ms = bins.percentiles(latency_ms, answered, percent)
        axes.plot(bins.middles_seconds, values_ms, color=color, label=label, marker=".", ms=3)
    _budget(axes, plan.budget_ms)
    _latency_axis(axes)
    _legend_above(axes)


def _rates_panel(axes: Axes, bins: Bins, records: Records) -> None:
    axes.set_title("Rates")
    answered, refused = records.outcome == OK, records.outcome == REFUSED
    rates = (
        (np.ones_like(answered), GREY, "offered"),
        (answered, BLUE, "answered"),
        (refused, ORANGE, "refused"),
        (~answered & ~refused, RED, "failed"),
    )
    for chosen, color, label in rates:
        per_second = bins.per_second(chosen)
        axes.step(bins.middles_seconds, per_second, color=color, label=label, where="mid")
    axes.set_ylabel("requests/s")
    axes.set_ylim(bottom=0)
    _legend_above(axes)


def _lag_panel(axes: Axes, bins: Bins, records: Records) -> None:
    axes.set_title("Lag of the generator")
    every, lag_ms = np.ones(len(records), dtype=bool), records.lag_us / 1e3
    for percent, color, label in ((100, GREY, "largest"), (99, BLUE, "P99")):
        values_ms = bins.percentiles(lag_ms, every, percent)
        axes.plot(bins.middles_seconds, values_ms, color=color, label=label)
    axes.set_ylabel("ms")
    axes.set_ylim(bottom=0)
    _legend_above(axes)


def _curve(axes: Axes, values_ms: NDArray[np.float64], color: str, style: str, label: str) -> None:
    """Draw sorted values over 1 / (1 - p), p being the share strictly below each."""
    ordered = np.sort(values_ms)
    stretched = ordered.size / (ordered.size - np.arange(ordered.size))
    seen = np.isfinite(ordered)
    axes.step(stretched[seen], ordered[seen], style, color=color, label=label, where="pre")


def _percentile_axis(axes: Axes, count: int) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1, max(count, 100))
    shown = [percent for percent in PERCENTS if 100 / (100 - percent) <= max(count, 100)]
    axes.set_xticks([100 / (100 - percent) for percent in shown])
    axes.set_xticklabels([f"{percent:g}" for percent in shown])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("percentile, %")


def _latency_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("ms")


def _budget(axes: Axes, budget_ms: float) -> None:
    label = f"budget, {budget_ms:g} ms"
    axes.axhline(budget_ms, color=RED, linestyle=":", linewidth=1.2, label=label)


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0)


def _svg(name: str, height_inches: float, draw: Callable[[Figure], None]) -> str:
    """What `draw` makes of a figure, in the report's style."""
    file = io.StringIO()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        draw(figure)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", metadata=nothing)
    return _embeddable(file.getvalue(), name)


def _embeddable(svg: str, name: str) -> str:
    """SVG without a prologue, as wide as its place, its identifiers unlike other charts'."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = svg.replace("<svg", f'<svg role="img" aria-labelledby="{name}-title"', 1)
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(before, f"{before}{name}-")
    return svg

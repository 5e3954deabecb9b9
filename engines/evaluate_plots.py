"""The drawings of an evaluation, as SVG that stands inside a page; equal figures give equal bytes.

Every drawing takes the engines by name, one or two, and is narrow enough for a telephone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from engines.drawing import draw_svg
from engines.evaluation_record import Calibration, Calls, FairnessAxis, Robustness

COLOURS = ("#1f5fa8", "#c8700a")
GREY, PALE = "#868e96", "#e9ecef"
WIDTH_INCHES = 5.6
# Keyed by matplotlib's own settings, whose type is a literal of all their names.
STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 9,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "grid.color": PALE,
    "legend.frameon": False,
}
# Longer names of labels would leave no room for the counts.
MOST_LABEL_CHARACTERS = 14


def reliability(by_engine: Mapping[str, Calibration], label: str) -> str:
    """How often scores were right, over what they said, with the share of scores below."""

    def draw(figure: Figure) -> None:
        curve, counts = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        curve.plot((0, 1), (0, 1), color=GREY, linestyle=":", label="as sure as right")
        for colour, (name, found) in zip(COLOURS, by_engine.items(), strict=False):
            bins = [each for each in found.bins if each.rows]
            x = [each.confidence for each in bins]
            said = f"{name}: error {found.error:.3f}"
            curve.plot(x, [e.accuracy for e in bins], color=colour, marker="o", ms=4, label=said)
            shares = np.array([each.rows for each in found.bins], dtype=float)
            edges = [found.bins[0].low, *(each.high for each in found.bins)]
            counts.stairs(100 * shares / shares.sum(), edges, color=colour)
        curve.set(ylabel="share that was right", xlim=(0, 1), ylim=(0, 1.02))
        counts.set(xlabel="score", ylabel="% of them", ylim=(0, None))
        curve.legend(loc="upper left")

    return draw_svg(label, (WIDTH_INCHES, 4.2), STYLE, draw)


def confusion(
    by_engine: Mapping[str, Sequence[Sequence[int]]], labels: Sequence[str], label: str
) -> str:
    """Counts by true and given label, shaded by the share of the true label's texts."""
    names = [shortened(name) for name in labels]

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(by_engine), squeeze=False)[0]
        for panel, (name, counts) in zip(panels, by_engine.items(), strict=True):
            values = np.array(counts, dtype=float)
            shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
            panel.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for row, column in np.ndindex(*values.shape):
                colour = "white" if shares[row, column] > 0.5 else "black"
                text = f"{values[row, column]:.0f}"
                panel.text(column, row, text, ha="center", va="center", color=colour)
            panel.set_xticks(range(len(names)), names, rotation=30, ha="right")
            panel.set_yticks(range(len(names)), names if panel is panels[0] else [])
            panel.set(title=name, xlabel="given")
            panel.grid(visible=False)
        panels[0].set_ylabel("true")

    return draw_svg(label, (WIDTH_INCHES, 1.2 + min(3.4, 0.75 * len(names))), STYLE, draw)


def robustness(by_engine: Mapping[str, Robustness], label: str) -> str:
    """Labels flipped, or without labels the change of values, by what was done to the texts."""
    first = next(iter(by_engine.values()))
    names = [each.name for each in first.perturbations]
    flips = first.perturbations[0].labels_flipped is not None

    def draw(figure: Figure) -> None:
        panel = figure.add_subplot()
        height = 0.8 / len(by_engine)
        for place, (name, found) in enumerate(by_engine.items()):
            values = [
                100 * (each.labels_flipped or 0.0) if flips else each.mean_change
                for each in found.perturbations
            ]
            rows = np.arange(len(names)) + (place - (len(by_engine) - 1) / 2) * height
            bars = panel.barh(rows, values, height * 0.9, color=COLOURS[place], label=name)
            panel.bar_label(bars, fmt="%.1f" if flips else "%.2f", padding=2, fontsize=8)
        panel.set_yticks(range(len(names)), names)
        panel.invert_yaxis()
        panel.margins(x=0.12)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel("labels flipped, % of texts" if flips else "change, in spreads of values")
        _legend_above(panel, by_engine)

    height_inches = 0.9 + 0.2 * len(names) * (1 + len(by_engine))
    return draw_svg(label, (WIDTH_INCHES, height_inches), STYLE, draw)


def fairness(by_engine: Mapping[str, FairnessAxis], target: float, label: str) -> str:
    """Each group's mean score beside the mean of all groups, with its interval."""
    first = next(iter(by_engine.values()))
    names = [each.group for each in first.groups]

    def draw(figure: Figure) -> None:
        panel = figure.add_subplot()
        panel.axvspan(-target / 2, target / 2, color=PALE, label=f"within {target:g} of each other")
        panel.axvline(0, color=GREY, linewidth=0.8)
        for place, (name, axis) in enumerate(by_engine.items()):
            rows = np.arange(len(names)) + (place - (len(by_engine) - 1) / 2) * 0.3
            middle = np.array([each.deviation for each in axis.groups])
            low = middle - np.array([each.deviation_low for each in axis.groups])
            high = np.array([each.deviation_high for each in axis.groups]) - middle
            panel.errorbar(
                middle, rows, xerr=np.maximum((low, high), 0), fmt="o", ms=5,
                color=COLOURS[place], capsize=2, label=f"{name}: gap {axis.gap:.3f}",
            )  # fmt: skip
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.grid(visible=False, axis="y")
        panel.set_xlabel(f"mean score of {first.label}, less that of all groups")
        _legend_above(panel)

    height_inches = 1.2 + 0.2 * len(by_engine) + 0.28 * len(names)
    return draw_svg(label, (WIDTH_INCHES, height_inches), STYLE, draw)


def latency(by_engine: Mapping[str, Sequence[Calls]], label: str) -> str:
    """From P50 to P99 of a call, by the number of texts in it."""
    batches = [each.batch for each in next(iter(by_engine.values()))]

    def draw(figure: Figure) -> None:
        panel = figure.add_subplot()
        for place, (name, calls) in enumerate(by_engine.items()):
            x = np.arange(len(batches)) + (place - (len(by_engine) - 1) / 2) * 0.2
            p50_ms = np.array([each.p50_ms for each in calls])
            p99_ms = np.array([each.p99_ms for each in calls])
            panel.vlines(x, p50_ms, p99_ms, color=COLOURS[place], linewidth=5, alpha=0.35)
            panel.plot(x, p50_ms, "o", color=COLOURS[place], label=name)
            for at, top_ms in zip(x, p99_ms, strict=True):
                panel.annotate(
                    f"{top_ms:.1f}", (at, top_ms), xytext=(0, 3), textcoords="offset points",
                    ha="center", fontsize=8,
                )  # fmt: skip
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.margins(x=0.1, y=0.15)
        panel.set_xticks(range(len(batches)), [str(batch) for batch in batches])
        panel.set(xlabel="texts in a call", ylabel="ms, from P50 (dot) to P99")
        panel.grid(visible=False, axis="x")
        _legend_above(panel, by_engine)

    return draw_svg(label, (WIDTH_INCHES, 3.2), STYLE, draw)


def shortened(name: str) -> str:
    """A label's name as long as a drawing has room for."""
    most = MOST_LABEL_CHARACTERS
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _legend_above(panel: Axes, by_engine: Mapping[str, Any] | None = None) -> None:
    """A legend over the panel; none for one engine alone."""
    if by_engine is None or len(by_engine) > 1:
        panel.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)

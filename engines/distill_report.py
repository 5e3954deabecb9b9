"""What distilling found, as a table and as a plot of accuracy over throughput."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from engines.depth_curve import Curve, Row
from engines.timing import TIMED_SHAPES
from engines.whole_file import whole_file

PLOT_FILE = "curve.svg"
REPORT_FILE = "report.json"
# Batch and tokens whose throughput is drawn: one short text, and a batch of paragraphs.
DRAWN_SHAPES = ((1, 32), (8, 128))


def curve_table(curve: Curve) -> Table:
    """One row a depth: accuracy of the INT8 engine, and throughput as a multiple of the
    teacher's."""
    result = Table(title=f"{curve.name} by depth", title_justify="left")
    result.add_column("layers", justify="right", no_wrap=True)
    result.add_column("data", overflow="fold")
    result.add_column("accuracy", justify="right", no_wrap=True)
    for batch, tokens in TIMED_SHAPES:
        result.add_column(f"{batch}x{tokens}", justify="right", no_wrap=True)
    result.add_column("MB", justify="right", no_wrap=True)
    for row in (curve.teacher, *curve.students):
        result.add_row(*_cells(curve, row))
    result.caption = (
        "first the teacher; accuracy of the INT8 engine in %, and its distance from the "
        "teacher's in points; batch x tokens: throughput on one core as a multiple of the "
        "teacher's; MB: the engine's file"
    )
    result.caption_justify = "left"
    return result


def _cells(curve: Curve, row: Row) -> list[str]:
    card = row.depth.card
    if card is None:
        return [f"{row.depth.layers}", "refused", *("–" for _ in range(6))]
    accuracies = row.accuracies()
    points = curve.points_from_teacher(row)
    teaches = row is curve.teacher
    return [
        f"{row.depth.layers}",
        "\n".join(short_name(name) for name in accuracies),
        "\n".join(
            f"{100 * accuracy:.1f}" + ("" if teaches else f" {points[name]:+5.1f}")
            for name, accuracy in accuracies.items()
        ),
        *(f"{speed.times_teacher:.2f}×" for speed in row.speeds),
        f"{card.engine_bytes / 1e6:.0f}",
    ]


def short_name(data: str) -> str:
    """A data set's name without the ending of its file."""
    return data.removesuffix(".gz").removesuffix(".jsonl")


def write_curve_plot(curve: Curve, path: Path) -> None:
    """Accuracy of each depth over its throughput as a multiple of the teacher's; a panel a shape,
    a line a data set. SVG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(DRAWN_SHAPES), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(DRAWN_SHAPES), squeeze=False, sharey=True)[0]
    for panel, shape in zip(panels, DRAWN_SHAPES, strict=True):
        _draw(panel, curve, shape)
    panels[0].set_ylabel("right labels of the INT8 engine, %")
    panels[0].legend(title="numbers: layers; dotted: a point below the teacher", loc="lower left")
    with whole_file(path) as partial:
        figure.savefig(partial, format="svg", metadata={"Date": None})


def _draw(panel: Any, curve: Curve, shape: tuple[int, int]) -> None:
    """One panel: the throughput at `shape`, batch and tokens."""
    made = [row for row in (curve.teacher, *curve.students) if row.depth.card]
    place = TIMED_SHAPES.index(shape)
    made.sort(key=lambda row: row.speeds[place].times_teacher)
    times = [row.speeds[place].times_teacher for row in made]
    for number, (name, before) in enumerate(curve.teacher.accuracies().items()):
        colour = f"C{number}"
        shares = [100 * row.accuracies()[name] for row in made]
        panel.plot(times, shares, marker="o", color=colour, label=short_name(name))
        panel.axhline(100 * before - 1, color=colour, linestyle=":", linewidth=0.8)
        for row, x, y in zip(made, times, shares, strict=True):
            place_of_text = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center"}
            panel.annotate(f"{row.depth.layers}", (x, y), **place_of_text)
    batch, tokens = shape
    panel.set_title(f"calls of {batch} x {tokens} tokens, one core")
    panel.set_xlabel("texts per second, as a multiple of the teacher's")
    panel.margins(x=0.08, y=0.12)
    panel.grid(visible=True, alpha=0.3)

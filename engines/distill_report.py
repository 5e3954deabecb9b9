"""What distilling found, as a table and as a plot of accuracy over throughput."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from engines.depth_curve import Curve, Row
from engines.errors import EngineError
from engines.measure import TIMED_SHAPES
from engines.merge import ADAPTER_FILE

PLOT_FILE = "curve.svg"
REPORT_FILE = "report.json"
# Batch and tokens whose throughput is drawn: one short text, and a batch of paragraphs.
DRAWN_SHAPES = ((1, 32), (8, 128))


def curve_table(curve: Curve) -> Table:
    """One row a depth: accuracy of the INT8 engine, and throughput as a multiple of the
    teacher's."""
    result = Table(title=f"{curve.name} by depth", title_justify="left")
    result.add_column("layers", justify="right", no_wrap=True)
    data_sets = list(curve.teacher.accuracies())
    for name in data_sets:
        result.add_column(name, justify="right")
    for batch, tokens in TIMED_SHAPES:
        result.add_column(f"{batch}x{tokens}", justify="right", no_wrap=True)
    for heading in ("engine MB", "adapter MB"):
        result.add_column(heading, justify="right")
    for row in (curve.teacher, *curve.students):
        result.add_row(*_cells(curve, row, data_sets))
    result.caption = (
        "accuracy of the INT8 engine, with its distance from the teacher's in points; batch x "
        "tokens: throughput on one core as a multiple of the teacher's, and the P50 of a call"
    )
    result.caption_justify = "left"
    return result


def _cells(curve: Curve, row: Row, data_sets: list[str]) -> list[str]:
    card = row.depth.card
    teaches = row is curve.teacher
    cells = [f"{row.depth.layers}{' (teacher)' if teaches else ''}"]
    if card is None:
        return [*cells, *(["refused"] * (len(data_sets) + len(TIMED_SHAPES) + 1)), "–"]
    points = curve.points_from_teacher(row)
    for name, accuracy in row.accuracies().items():
        apart = "" if teaches else f"\n{points[name]:+.1f}"
        cells.append(f"{100 * accuracy:.1f} %{apart}")
    for speed in row.speeds:
        times = "" if teaches else f"{speed.times_teacher:.2f}×\n"
        cells.append(f"{times}{speed.p50_ms:.2f} ms")
    adapter_bytes = (row.depth.adapter / ADAPTER_FILE).stat().st_size
    return [*cells, f"{card.engine_bytes / 1e6:.1f}", f"{adapter_bytes / 1e6:.1f}"]


def require_matplotlib() -> None:
    """Raise EngineError unless plots can be drawn, before anything long begins."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise EngineError(
            "the curve needs matplotlib: `pip install 'sub50[train,evaluate]'`"
        ) from None


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
    panels[0].legend()
    partial = path.with_name(f"{path.name}.partial")
    figure.savefig(partial, format="svg", metadata={"Date": None})
    partial.replace(path)


def _draw(panel: Any, curve: Curve, shape: tuple[int, int]) -> None:
    """One panel: the throughput at `shape`, batch and tokens."""
    made = [row for row in (curve.teacher, *curve.students) if row.depth.card]
    place = TIMED_SHAPES.index(shape)
    made.sort(key=lambda row: row.speeds[place].times_teacher)
    times = [row.speeds[place].times_teacher for row in made]
    for number, name in enumerate(curve.teacher.accuracies()):
        shares = [100 * row.accuracies()[name] for row in made]
        panel.plot(times, shares, marker="o", color=f"C{number}", label=name)
        panel.axhline(
            100 * curve.teacher.accuracies()[name] - 1,
            color=f"C{number}", linestyle=":", linewidth=0.8,
        )  # fmt: skip
        for row, x, y in zip(made, times, shares, strict=True):
            panel.annotate(f"{row.depth.layers}", (x, y), xytext=(5, 5), textcoords="offset points")
    batch, tokens = shape
    panel.set_title(f"calls of {batch} x {tokens} tokens, one core")
    panel.set_xlabel("texts per second, as a multiple of the teacher's")
    panel.grid(visible=True, alpha=0.3)

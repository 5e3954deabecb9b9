"""What tuning measured, as a table and as a plot of latency against throughput."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from core.card import Verdict
from engines.drawing import require_matplotlib
from engines.errors import EngineError
from engines.runtimes import Candidate
from engines.tune_choose import BUDGET_MS
from engines.tune_measure import BATCHES, Measurement

PLOT_SUFFIXES = (".svg", ".png", ".pdf")


@dataclass(frozen=True)
class Tuned:
    """One model's measurements, verdicts and winner, with the line of the winner's runs.

    `left_out` says, in a line each, what could not be measured and why, and what runs on a GPU as
    exported. `gpu` is the one that candidates ran on, where any did.
    """

    name: str
    version: str
    lengths: str
    measurements: list[Measurement]
    verdicts: dict[Candidate, Verdict]
    winner: Candidate
    line_overhead_ms: float
    line_ms_per_token: float
    left_out: tuple[str, ...] = ()
    gpu: str | None = None

    def candidates(self) -> list[dict[str, Any]]:
        """Every candidate with its figures, for the card and for JSON."""
        return [
            {
                **found.candidate.as_dict(),
                **({"gpu": self.gpu} if found.candidate.on_gpu else {}),
                "gate": self.verdicts[found.candidate].model_dump(mode="json"),
                "points": [rounded(point.as_dict()) for point in found.points],
            }
            for found in self.measurements
        ]

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "model": self.name,
            "version": self.version,
            "lengths": self.lengths,
            "winner": self.winner.as_dict(),
            "line_overhead_ms": round(self.line_overhead_ms, 4),
            "line_ms_per_token": round(self.line_ms_per_token, 6),
            "left_out": list(self.left_out),
            "candidates": self.candidates(),
        }


def rounded(values: dict[str, Any]) -> dict[str, Any]:
    """Figures to a thousandth, which is more than they are good for."""
    return {key: round(v, 3) if isinstance(v, float) else v for key, v in values.items()}


def table(tuned: Tuned) -> Table:
    """One row a candidate: texts/s and P50/P99 of a call at each batch size."""
    result = Table(
        title=f"{tuned.name} {tuned.version}, texts of {tuned.lengths}", title_justify="left"
    )
    result.add_column("candidate", min_width=20)
    for batch in BATCHES:
        result.add_column(f"batch {batch}", justify="right", no_wrap=True)
    for found in tuned.measurements:
        wins = found.candidate == tuned.winner
        result.add_row(
            f"{'→ ' if wins else ''}{found.candidate.label}\n{judged(tuned, found)}",
            *(
                f"{point.texts_per_second:.0f}/s\n{point.p50_ms:.1f} | {point.p99_ms:.1f}"
                for point in found.points
            ),
            style="bold" if wins else None,
        )
    result.caption = (
        "candidate: threads x instances; figures: texts/s, P50 | P99 of a call in ms; "
        f"→ wins: most texts/s where P99 is under {BUDGET_MS:g} ms. A run takes "
        f"{tuned.line_overhead_ms:.2f} ms + {tuned.line_ms_per_token:.4f} ms a token"
    )
    result.caption_justify = "left"
    return result


def judged(tuned: Tuned, found: Measurement) -> str:
    """What the gate said of a candidate, in a line."""
    verdict = tuned.verdicts[found.candidate]
    return "gate: pass" if verdict.passed else f"refused: {'; '.join(verdict.reasons)}"


def check_plot(path: Path) -> None:
    """Raise EngineError unless a plot can be written there, before anything is measured."""
    require_matplotlib("--plot", "tune")
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise EngineError(f"--plot {path}: the name must end in {', '.join(PLOT_SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise EngineError(f"--plot {path}: there is no folder {path.absolute().parent}")


def write_plot(everything: Sequence[Tuned], path: Path) -> None:
    """P50 (dashed) and P99 of a call over throughput; one panel a model, one line a candidate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5 * len(everything), 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(everything), squeeze=False)[0]
    for panel, tuned in zip(panels, everything, strict=True):
        draw(panel, tuned)
    figure.savefig(path)


def draw(panel: Any, tuned: Tuned) -> None:
    """One model's panel."""
    for number, found in enumerate(tuned.measurements):
        wins = found.candidate == tuned.winner
        refused = "" if tuned.verdicts[found.candidate].passed else ", refused"
        rates = [point.texts_per_second for point in found.points]
        colour = f"C{number % 10}"
        marker = "os^Dv<>"[number // 10 % 7]
        panel.plot(
            rates,
            [point.p99_ms for point in found.points],
            color=colour,
            marker=marker,
            linewidth=3 if wins else 1.2,
            label=f"{found.candidate.label}{refused}{' (wins)' if wins else ''}",
        )
        p50s = [point.p50_ms for point in found.points]
        panel.plot(rates, p50s, color=colour, linestyle="--", linewidth=0.8)
    panel.axhline(BUDGET_MS, color="black", linewidth=1)
    panel.annotate(
        f"{BUDGET_MS:g} ms", (1, BUDGET_MS), xycoords=("axes fraction", "data"),
        xytext=(-4, 4), textcoords="offset points", ha="right",
    )  # fmt: skip
    panel.set_yscale("log")
    panel.set_title(f"{tuned.name}, texts of {tuned.lengths}")
    panel.set_xlabel(f"texts per second (points: batches of {', '.join(map(str, BATCHES))})")
    panel.set_ylabel("time of a call, ms: P99, and P50 dashed")
    panel.grid(visible=True, which="both", alpha=0.3)
    panel.legend(fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.12))

"""A study as a table and as a chart of its trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from rich.table import Table

from engines.errors import EngineError

SUFFIXES = (".svg", ".png", ".pdf")
BLUE, GREY, ORANGE = "#1f5fa8", "#868e96", "#c8700a"
SHOWN_TRIALS = 5
# Equal studies give equal bytes.
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "sub50",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.titlelocation": "left",
}


def check_chart(path: Path) -> None:
    """Raise EngineError unless a chart can be written there, before anything is trained."""
    if path.suffix.lower() not in SUFFIXES:
        raise EngineError(f"--chart {path}: the name must end in {', '.join(SUFFIXES)}")
    if not path.absolute().parent.is_dir():
        raise EngineError(f"--chart {path}: there is no folder {path.absolute().parent}")


def table(found: dict[str, Any]) -> Table:
    """The default and the best trials that ran to their end."""
    whole = [trial for trial in found["trials"] if trial["state"] == "complete"]
    ranked = sorted(whole, key=lambda trial: -float(trial["value"]))[:SHOWN_TRIALS]
    default = found["default"]
    if default and default not in ranked:
        ranked.append(default)
    result = Table(title=f"{found['study']}, {found['settings']['texts']} texts a trial")
    for heading in ("trial", "accuracy", "rank", "alpha", "learning rate", "epochs"):
        result.add_column(heading, justify="right")
    for trial in ranked:
        params = trial["params"]
        result.add_row(
            f"{trial['number']}{' (default)' if trial == default else ''}",
            f"{trial['value']:.4f}",
            str(params["rank"]),
            str(params["alpha"]),
            f"{params['learning_rate']:.2g}",
            str(params["epochs"]),
        )
    result.caption = f"{found['finished']} trials, {found['pruned']} of them pruned"
    return result


def trial_line(trial: dict[str, Any]) -> str:
    """A trial in a line, as it ends."""
    params = trial["params"]
    ended = "whole" if trial["state"] == "complete" else f"pruned after {len(trial['epochs'])}"
    return (
        f"trial {trial['number']}: {last_value(trial):.4f} {ended}, rank {params['rank']}, "
        f"alpha {params['alpha']}, learning rate {params['learning_rate']:.2g}, "
        f"{params['epochs']} epochs"
    )


def last_value(trial: dict[str, Any]) -> float:
    """The accuracy a trial had when it ended."""
    if trial["value"] is not None:
        return float(trial["value"])
    return float(list(trial["epochs"].values())[-1])


def write_chart(found: dict[str, Any], path: Path) -> None:
    """Accuracy over trials with the best so far, and over each value searched."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 7), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplot_mosaic([["trials"] * 4, ["rate", "rank", "alpha", "epochs"]])
        _over_trials(panels["trials"], found)
        for name, key in (
            ("rate", "learning_rate"),
            ("rank", "rank"),
            ("alpha", "alpha"),
            ("epochs", "epochs"),
        ):
            _points(panels[name], found, lambda trial, key=key: trial["params"][key])
            panels[name].set_title(key.replace("_", " "))
        panels["rate"].set_xscale("log")
        panels["rate"].xaxis.set_minor_formatter(NullFormatter())
        for name in ("rank", "alpha"):
            panels[name].set_xscale("log", base=2)
            panels[name].xaxis.set_major_formatter("{x:g}")
        panels["epochs"].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels["rate"].set_ylabel("accuracy when it ended")
        figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def _over_trials(panel: Axes, found: dict[str, Any]) -> None:
    _points(panel, found, lambda trial: trial["number"])
    whole = [trial for trial in found["trials"] if trial["state"] == "complete"]
    best = [max(float(t["value"]) for t in whole[: i + 1]) for i in range(len(whole))]
    numbers = [trial["number"] for trial in whole]
    if found["trials"]:
        numbers.append(found["trials"][-1]["number"])
        best.append(best[-1])
    panel.step(numbers, best, where="post", color=BLUE, linewidth=1.2, label="best so far")
    if found["default"]:
        value = float(found["default"]["value"])
        panel.axhline(value, color=ORANGE, linewidth=1, linestyle="--", label="default recipe")
    panel.set_title(
        f"{found['study']}: accuracy on held-back texts, {found['finished']} trials, "
        f"{found['pruned']} pruned"
    )
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_xlabel("trial")
    panel.set_ylabel("accuracy when it ended")
    panel.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=4)


def _points(panel: Axes, found: dict[str, Any], x_of: Any) -> None:
    for state, label, marker, colour in (
        ("complete", "ran to its end", "o", BLUE),
        ("pruned", "pruned", "x", GREY),
    ):
        chosen = [trial for trial in found["trials"] if trial["state"] == state]
        x, y = [x_of(trial) for trial in chosen], [last_value(trial) for trial in chosen]
        panel.scatter(x, y, marker=marker, color=colour, s=28, label=label, zorder=3)
    panel.grid(visible=True, alpha=0.3)

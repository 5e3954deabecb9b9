"""What `sub50 engines tune` shows. It goes to standard error; standard output is for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from engines.commands import table_console
from engines.runtimes import INSTALL_OPENVINO, has_openvino
from engines.tune import reset_engines, tune_engines
from engines.tune_choice import Choice
from engines.tune_report import check_plot, table, write_plot

__all__ = ["Choice", "run_reset", "run_tune"]

RESTART = "Restart `sub50 serve`, or for plans NVIDIA's Triton, to serve with it."
ON_A_GPU = "Measured nowhere: serve it on a machine with a GPU, and tune it there."


def run_tune(
    names: Sequence[str] | None, repository: Path, choice: Choice, plot: Path | None
) -> list[dict[str, Any]]:
    """Tune, show a table for each model, and draw the plot; returns everything, for JSON.

    Raises:
        EngineError: see `tune_engines`; or the plot cannot be written.
    """
    if plot is not None:
        check_plot(plot)
    console = table_console()
    if choice.runtime is None and not has_openvino():
        console.print(INSTALL_OPENVINO, markup=False, highlight=False, soft_wrap=True)
    results = tune_engines(names or None, repository, choice)
    for tuned in results:
        if tuned.measurements:
            console.print(table(tuned))
        for line in tuned.left_out:
            console.print(f"{tuned.name}: {line}", markup=False, highlight=False, soft_wrap=True)
    if plot is not None:
        write_plot(results, plot)
    next_step = ON_A_GPU if choice.unmeasured else RESTART
    console.print("Nothing was written." if choice.dry_run else next_step)
    return [tuned.as_dict() for tuned in results]


def run_reset(names: Sequence[str] | None, repository: Path) -> list[dict[str, Any]]:
    """Undo tuning; returns the models, for JSON.

    Raises:
        EngineError: a name is unknown or an engine is not built.
    """
    done = reset_engines(names or None, repository)
    console = Console(stderr=True)
    console.print(f"As built again: {', '.join(done)}. {RESTART}", highlight=False)
    return [{"model": name, "winner": None} for name in done]

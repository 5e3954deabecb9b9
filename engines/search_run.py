"""Carries out `sub50 engines search`: shows the trials as they end, confirms, draws."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from engines.base import ensure_base
from engines.confirm import confirm, in_words
from engines.data import LabelledText
from engines.finetuning import Reading
from engines.labelled_file import read_examples
from engines.network import use_threads
from engines.recipe import Recipe
from engines.search import Search, SearchData, search, trial_record
from engines.search_data import read_search_data
from engines.search_report import check_chart, trial_line, write_chart
from engines.study import finished


@dataclass(frozen=True)
class Files:
    """What a search reads and writes; None where the user named none."""

    data: Path
    reading: Reading
    work: Path
    base: Path | None
    chart: Path | None
    confirm: Path | None


def run_search(name: str, files: Files, wanted: Search, threads: int) -> dict[str, Any]:
    """Search, then compare best and default in full and draw, where asked to.

    Raises:
        EngineError: see `engines.search.search`, `engines.confirm.confirm`; a chart cannot be
            written there.
    """
    if files.chart:
        check_chart(files.chart)
    use_threads(threads)
    data, default = read_search_data(name, files.data, files.reading)
    unseen = _unseen(files.confirm, data.labels)
    base = ensure_base(files.base)
    with _progress() as progress:
        bar = progress.add_task(f"trials of {name}", total=wanted.trials)

        def after_trial(study: optuna.Study, trial: FrozenTrial) -> None:
            progress.console.print(trial_line(trial_record(trial)), highlight=False)
            progress.update(bar, completed=len(finished(study)))

        found = search(data, default, base, files.work, wanted, after_trial)
    if unseen and found["best"] and found["best"] != found["default"]:
        recipes = {"default": default, "best": replace(default, **found["best"]["params"])}
        found["confirmed"] = _confirmed(data, recipes, unseen, base, files.work)
    if files.chart:
        write_chart(found, files.chart)
    return found


def _progress() -> Progress:
    # Training's own output goes to the log, so this one must not follow sys.stderr there.
    return Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr),
        redirect_stdout=False,
        redirect_stderr=False,
    )


def _unseen(path: Path | None, labels: tuple[str, ...]) -> list[LabelledText]:
    if path is None:
        return []
    rows = read_examples(path, labels, "single_label")
    return [LabelledText(row.text, row.labels[0]) for row in rows]


def _confirmed(
    data: SearchData,
    recipes: dict[str, Recipe],
    unseen: list[LabelledText],
    base: Path,
    work: Path,
) -> dict[str, Any]:
    with _progress() as progress, (work / f"{data.name}.log").open("a", encoding="utf-8") as log:
        progress.add_task("training default and best on all texts", total=None)
        with redirect_stdout(log), redirect_stderr(log):
            result = confirm(data, recipes, unseen, base, work)
    return {**result, "in_words": in_words(result)}

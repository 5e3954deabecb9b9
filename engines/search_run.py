"""Carries out `sub50 engines search`: shows the trials as they end, confirms, draws."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, dataclass, replace
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
from engines.tracking import Run, tracked


@dataclass(frozen=True)
class Files:
    """What a search reads and writes; None where the user named none."""

    data: Path
    reading: Reading
    work: Path
    base: Path | None
    chart: Path | None
    confirm: Path | None
    tracking_uri: str | None


def run_search(name: str, files: Files, wanted: Search, threads: int) -> dict[str, Any]:
    """Search, then compare best and default in full and draw, where asked to; all is recorded.

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
    asked = {"default": asdict(default), "texts": wanted.texts, "trials": wanted.trials}
    with tracked("search", name, asked, data.checksums, files.tracking_uri) as run:
        found = _searched(data, default, base, files.work, wanted, run)
        if unseen and found["best"] and found["best"] != found["default"]:
            recipes = {"default": default, "best": replace(default, **found["best"]["params"])}
            found["confirmed"] = _confirmed(data, recipes, unseen, base, files.work)
        if files.chart:
            write_chart(found, files.chart)
            run.artifact(files.chart)
        _record(found, run)
    return found


def _searched(
    data: SearchData, default: Recipe, base: Path, work: Path, wanted: Search, run: Run
) -> dict[str, Any]:
    with _progress() as progress:
        bar = progress.add_task(f"trials of {data.name}", total=wanted.trials)

        def after_trial(study: optuna.Study, trial: FrozenTrial) -> None:
            progress.console.print(trial_line(trial_record(trial)), highlight=False)
            progress.update(bar, completed=len(finished(study)))
            child = run.child(f"trial {trial.number}", trial.params, trial.datetime_start)
            for epoch, value in trial.intermediate_values.items():
                child.metric("accuracy", value, epoch)
            child.tag("state", trial.state.name.lower())
            child.end()

        return search(data, default, base, work, wanted, after_trial)


def _record(found: dict[str, Any], run: Run) -> None:
    """What a search found, as figures of its run, and everything as a file."""
    for which in ("default", "best"):
        if found[which]:
            run.metric(f"{which}.accuracy", found[which]["value"])
    for name in ("default", "best", "difference", "p"):
        if "confirmed" in found:
            run.metric(f"confirmed.{name}", found["confirmed"][name])
    run.metrics({"finished": found["finished"], "pruned": found["pruned"]})
    run.text("study.json", found)


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

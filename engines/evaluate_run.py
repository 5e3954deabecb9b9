"""One run of `sub50 engines evaluate`: what was asked, what it writes, and what it says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from engines.engine_folder import engine_card, engine_folder
from engines.errors import EngineError
from engines.evaluate import Wanted, evaluate
from engines.evaluate_findings import findings
from engines.evaluation_record import EVALUATION_FILE, PAGE_FILE, EvaluationReport
from engines.html_report import write_page
from engines.speed import LOAD_SHARE, Price
from engines.unquantized import write_twin

REPORTS = Path("runs") / "evaluate"
# What --against calls the unquantized graph of the engine itself.
FP32 = "fp32"


@dataclass(frozen=True)
class Asked:
    """The options of the command."""

    engine: str
    against: str | None = None
    data: Path | None = None
    report: Path | None = None
    seconds: float = 2.0
    price_per_hour: float | None = None
    currency: str = "USD"
    load_share: float | None = None
    base: Path | None = None


def run_evaluate(asked: Asked, repository: Path) -> dict[str, Any]:
    """Evaluate an engine; write evaluation.json and evaluation.html; returns the record as JSON.

    Raises:
        EngineError: an engine, the data or the folder to write to cannot be used.
    """
    folder = engine_folder(asked.engine, repository)
    card = engine_card(folder)
    if card.task != "classify":
        raise EngineError(f"{folder} is an engine to {card.task}; evaluate measures classifiers")
    target = asked.report or REPORTS / f"{card.name}-{card.version}"
    _require_place(target)
    wanted = Wanted(asked.data, asked.seconds, _price(asked))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with _second(asked, folder, repository) as against, _progress(console) as told:
        record = evaluate(folder, against, wanted, told)
    _write(record, target)
    for line in findings(record):
        console.print(line, markup=False)
    console.print(f"Written: {target / PAGE_FILE}, {target / EVALUATION_FILE}", markup=False)
    return record.model_dump(mode="json")


def _price(asked: Asked) -> Price | None:
    if asked.price_per_hour is None:
        return None
    return Price(asked.price_per_hour, asked.currency, asked.load_share or LOAD_SHARE)


@contextmanager
def _second(asked: Asked, folder: Path, repository: Path) -> Iterator[Path | None]:
    """The version folder of the engine to set beside the first, made for the while if it is its
    unquantized twin."""
    if asked.against is None:
        yield None
    elif asked.against == FP32:
        with tempfile.TemporaryDirectory(prefix="sub50-fp32-") as made:
            write_twin(engine_card(folder), Path(made), asked.base)
            yield Path(made)
    else:
        second = engine_folder(asked.against, repository)
        if second.resolve() == folder.resolve():
            raise EngineError(f"--against {asked.against}: that is the same engine")
        yield second


def _require_place(target: Path) -> None:
    """Raise EngineError, before anything is measured, unless the report can be written there."""
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise EngineError(f"the page needs {error.name}: `pip install 'sub50[evaluate]'`") from None
    here = target.absolute()
    # Triton loads a model anew when something in its folder has changed.
    if any((each / "config.pbtxt").is_file() for each in (here, *here.parents)):
        raise EngineError(f"--report {target} lies inside a model; name a folder elsewhere")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target):
            pass
    except OSError as error:
        raise EngineError(f"--report {target} cannot be written to: {error.strerror}") from error


def _write(record: EvaluationReport, target: Path) -> None:
    from engines.evaluate_report import page

    title, banner, sections = page(record)
    text = json.dumps(record.model_dump(mode="json"), indent=2, ensure_ascii=False)
    partial = target / f".{EVALUATION_FILE}.partial"
    try:
        partial.write_text(text + "\n", encoding="utf-8")
        write_page(target / PAGE_FILE, title, banner, sections)
        partial.replace(target / EVALUATION_FILE)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EngineError(f"--report {target} cannot be written to: {error.strerror}") from error


class _Bar:
    """A bar for the step under way; see `Told`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step: TaskID | None = None

    def begin(self, step: str, total: int) -> None:
        if self._step is not None:
            self._progress.remove_task(self._step)
        self._step = self._progress.add_task(step, total=total)

    def advance(self, parts: int) -> None:
        if self._step is not None:
            self._progress.advance(self._step, parts)


@contextmanager
def _progress(console: Console) -> Iterator[_Bar]:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)

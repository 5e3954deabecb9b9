"""One run of `sub50 engines evaluate`: what was asked, what it writes, and what it says."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from engines.engine_folder import engine_card, engine_folder
from engines.errors import EngineError
from engines.evaluate import Wanted, evaluate
from engines.evaluate_findings import findings
from engines.evaluation_record import EVALUATION_FILE, PAGE_FILE
from engines.html_report import Banner, Section, write_page
from engines.price import LOAD_SHARE, Price
from engines.registry import ENGINE
from engines.report_place import require_packages, require_place
from engines.step_bar import step_bar
from engines.tracking import tracked
from engines.tracking_store import NONE, is_installed
from engines.unquantized import write_twin
from engines.whole_file import whole_file

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
    require_fair: bool = False
    base: Path | None = None


def run_evaluate(asked: Asked, repository: Path, tracking_uri: str | None = None) -> dict[str, Any]:
    """Evaluate an engine; write evaluation.json and evaluation.html; returns the record as JSON.

    The run is recorded where `tracking_uri` says, by default only where MLflow is installed.

    Raises:
        EngineError: an engine, the data or the folder to write to cannot be used.
    """
    folder = engine_folder(asked.engine, repository)
    card = engine_card(folder)
    target = asked.report or REPORTS / f"{card.name}-{card.version}"
    require_packages("jinja2", "matplotlib")
    require_place("--report", target)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    evaluated = _summarizer if card.task == "summarize" else _classifier
    options = {**asdict(asked), "version": card.version, ENGINE: card.engine_sha256}
    store = tracking_uri or (None if is_installed() else NONE)
    with tracked("evaluate", card.name, options, None, store) as run:
        record, said = evaluated(asked, folder, repository, target, console)
        run.metrics(_figures(record))
        run.artifact(target / EVALUATION_FILE)
        run.artifact(target / PAGE_FILE)
    for line in said:
        console.print(line, markup=False)
    console.print(f"Written: {target / PAGE_FILE}, {target / EVALUATION_FILE}", markup=False)
    return record


def _figures(record: dict[str, Any]) -> dict[str, float]:
    """A classifier's figures that runs are compared by; a summarizer's are in its file."""
    if "engine" not in record:
        return {}
    engine = record["engine"]
    found = {"fairness.gap": engine["fairness"]["gap"]}
    for quality in engine["quality"]:
        found[f"{quality['data']}.accuracy"] = quality["accuracy"]
        found[f"{quality['data']}.macro_f1"] = quality["macro_f1"]
        found[f"{quality['data']}.calibration_error"] = quality["calibration"]["error"]
    return found


def _classifier(
    asked: Asked, folder: Path, repository: Path, target: Path, console: Console
) -> tuple[dict[str, Any], list[str]]:
    """The record, and what the terminal says."""
    wanted = Wanted(asked.data, asked.seconds, _price(asked))
    with _second(asked, folder, repository) as against, step_bar(console) as told:
        found = evaluate(folder, against, wanted, told)
    from engines.evaluate_report import page

    record = found.model_dump(mode="json")
    _write(record, target, *page(found))
    return record, findings(found)


def _summarizer(
    asked: Asked, folder: Path, repository: Path, target: Path, _console: Console
) -> tuple[dict[str, Any], list[str]]:
    """The record, and what the terminal says."""
    from engines.evaluate_summarizer import evaluate_summarizer
    from engines.summarizer_report import summarizer_sections

    card = engine_card(folder)
    if asked.data is None:
        raise EngineError(
            f"{card.name} summarizes: name texts with marked passages or summaries with --data"
        )
    if asked.price_per_hour is not None or asked.require_fair or asked.against == FP32:
        raise EngineError(
            f"{card.name} summarizes: --price-per-hour, --require-fair and --against fp32 are for "
            "classifiers"
        )
    with _second(asked, folder, repository) as second:
        record = evaluate_summarizer(folder, asked.data, against=[second] if second else [])
    sections = summarizer_sections(record)
    names = " and ".join(str(engine["name"]) for engine in record["engines"])
    _write(record, target, f"Evaluation of {names}", None, sections)
    return record, [paragraph for section in sections for paragraph in section.paragraphs]


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


def _write(
    record: dict[str, Any],
    target: Path,
    title: str,
    banner: Banner | None,
    sections: Sequence[Section],
) -> None:
    """Write the page, then the record; each whole or not at all."""
    text = json.dumps(record, indent=2, ensure_ascii=False)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with whole_file(target / EVALUATION_FILE) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
            write_page(target / PAGE_FILE, title, banner, sections)
    except OSError as error:
        raise EngineError(f"--report {target} cannot be written to: {error.strerror}") from error

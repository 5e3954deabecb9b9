"""How good the summaries of an engine are, beside rankings that learn nothing.

Where passages are marked: the share of them that a summary touches, of 15 % of the sentences, and
of 15 % of the words. Where people wrote summaries: ROUGE at an equal number of sentences. Intervals
are over documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from engines.checksums import file_sha256
from engines.contracts import Contract, read_contracts
from engines.data import read_rows
from engines.errors import DataError, EngineError
from engines.marked_passages import SUMMARY_SHARE, touched_by
from engines.rouge import Reference, read_references, rouge_of, rouge_scorer
from engines.summarizer import Ranked, Ranking, Summarizer, baseline_rankings, ranked
from engines.summarizer_report import summarizer_sections
from engines.tasks import UNCOUNTED_CATEGORIES

__all__ = ["evaluate_summarizer", "summarizer_sections"]

# Whole clauses, and so counted; some studies set them aside with the other dates.
EXPIRATION_DATE = "Expiration Date"
ROUGE_SENTENCES = 1
# Called after every document that was ranked.
Advance = Callable[[], None]


@dataclass(frozen=True)
class Data:
    """Files with what summaries are held against; either may be missing."""

    marked: Path | None
    references: Path | None


def evaluate_summarizer(
    folder: Path,
    data: Path,
    split: str = "test",
    against: Sequence[Path] = (),
    threads: int = 0,
) -> dict[str, Any]:
    """Measure the summaries of an engine.

    Args:
        folder: version folder of the engine.
        data: a folder with `contracts/<split>.jsonl.gz`, `legal_summaries/validation.jsonl.gz` or
            both; or a file of rows `{"text"}` with `spans` (see `read_contracts`) or `summary`.
        split: which contracts.
        against: version folders of other engines to compare with.
        threads: of the engines; 0 takes every core.

    Returns:
        What can be written as JSON: `engines` with what was measured, and `marked` and `rouge`
        with the figures of every ranking by its name, the engine's first; None without data.

    Raises:
        EngineError: an engine or the data is missing or not what it should be.
    """
    files = find_data(data, split)
    engines = _engines([folder, *against], threads)
    rankings: dict[str, Ranking] = {name: engine.rank for name, engine in engines.items()}
    rankings |= baseline_rankings()
    # Both files are read, and the scorer found, before anything slow begins.
    contracts = _contracts(files.marked) if files.marked else []
    references = read_references(files.references) if files.references else []
    if references:
        rouge_scorer()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        total = len(rankings) * (len(contracts) + len(references))
        step = progress.add_task("summarizing", total=total)

        def advance() -> None:
            progress.advance(step)

        marked = _marked(files.marked, contracts, rankings, advance) if files.marked else None
        rouge = _rouge(files.references, references, rankings, advance) if references else None
    identities = [
        {
            "name": name,
            "version": engine.card.version,
            "precision": engine.card.precision,
            "engine_sha256": engine.card.engine_sha256,
        }
        for name, engine in engines.items()
    ]
    return {"engines": identities, "marked": marked, "rouge": rouge}


def find_data(data: Path, split: str) -> Data:
    """The files of a data folder, or one file by what its first row has.

    Raises:
        DataError: there is nothing to measure with; says what there should be.
    """
    if data.is_dir():
        marked = data / "contracts" / f"{split}.jsonl.gz"
        references = data / "legal_summaries" / "validation.jsonl.gz"
        if not marked.is_file() and not references.is_file():
            raise DataError(
                f"{data} has neither contracts/{split}.jsonl.gz nor "
                "legal_summaries/validation.jsonl.gz; name a folder with one of them, or a file"
            )
        return Data(
            marked if marked.is_file() else None, references if references.is_file() else None
        )
    row = next(iter(read_rows(data)), {})
    found = Data(data if "spans" in row else None, data if "summary" in row else None)
    if found == Data(None, None):
        raise DataError(
            f"{data}:1: neither field 'spans' (marked passages) nor field 'summary'; one of them "
            "is needed beside 'text' to hold summaries against"
        )
    return found


def _engines(folders: Sequence[Path], threads: int) -> dict[str, Summarizer]:
    """The engines by name, with the version where two of one name are compared."""
    opened = [Summarizer(folder, threads) for folder in folders]
    names = [engine.card.name for engine in opened]
    result: dict[str, Summarizer] = {}
    for folder, engine in zip(folders, opened, strict=True):
        card = engine.card
        name = card.name if names.count(card.name) == 1 else f"{card.name} {card.version}"
        name = str(folder) if name in result else name
        if name in result:
            raise EngineError(f"{folder} is named twice; compare it with another engine")
        result[name] = engine
    return result


def _contracts(path: Path) -> list[Contract]:
    contracts = read_contracts(path)
    if not any(contract.passages for contract in contracts):
        raise DataError(f"{path} has no marked passage that counts; there is nothing to measure")
    return contracts


def _ranked(documents: Sequence[list[str]], ranking: Ranking, advance: Advance) -> Iterator[Ranked]:
    for texts in documents:
        yield ranked(texts, ranking)
        advance()


def _marked(
    path: Path, contracts: Sequence[Contract], rankings: dict[str, Ranking], advance: Advance
) -> dict[str, Any]:
    undated = read_contracts(path, UNCOUNTED_CATEGORIES | {EXPIRATION_DATE})
    documents = [contract.sentence_texts() for contract in contracts]
    touched, without_dates = {}, {}
    for name, ranking in rankings.items():
        found = list(_ranked(documents, ranking, advance))
        touched[name] = touched_by(contracts, found)
        without_dates[name] = touched_by(undated, found).share
    first = next(iter(touched.values()))
    figures: dict[str, Any] = {}
    for name, each in touched.items():
        lead, interval = first.lead_over(each)
        figures[name] = each.figures() | {
            "share_without_expiration_dates": without_dates[name],
            "lead": lead,
            "lead_interval": interval,
        }
    return {
        **_told(path, len(contracts)),
        "passages": sum(first.passages),
        "sentence_share": SUMMARY_SHARE,
        "rankings": figures,
    }


def _rouge(
    path: Path | None, references: Sequence[Reference], rankings: dict[str, Ranking],
    advance: Advance,
) -> dict[str, Any]:  # fmt: skip
    assert path is not None
    scorer = rouge_scorer()
    documents = [reference.sentences for reference in references]
    found = {
        name: rouge_of(
            references, list(_ranked(documents, ranking, advance)), ROUGE_SENTENCES, scorer
        )
        for name, ranking in rankings.items()
    }
    first = next(iter(found.values()))
    return {
        **_told(path, len(references)),
        "sentences": ROUGE_SENTENCES,
        "rankings": {
            name: each.figures() | {"lead": first.lead_over(each)} for name, each in found.items()
        },
    }


def _told(path: Path, documents: int) -> dict[str, Any]:
    """Which data, without the folders above it, which are nobody else's matter."""
    name = f"{path.parent.name}/{path.name}"
    return {"data": name, "sha256": file_sha256(path), "documents": documents}

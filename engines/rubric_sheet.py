"""Writes what raters get: a sheet of summaries in blinded order, the documents, and a guide."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from core.sentences import split_sentences
from core.summary import DEFAULT_MAX_SENTENCES
from engines.checksums import file_sha256
from engines.data import read_rows
from engines.errors import DataError, EngineError
from engines.rubric import COLUMNS, CRITERIA, GUIDE, Item, Key, RatedEngine
from engines.summarizer import Summarizer, ranked

FOR_RATERS, KEY_FILE = "for-raters", "key.json"
SHEET_FILE, GUIDE_FILE, DOCUMENTS = "sheet.csv", "guide.txt", "documents"
# Spreadsheets take what begins so for a formula.
FORMULA_SIGNS = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Length:
    """How long the summaries are: the limits of a request to the service."""

    max_sentences: int | None = None
    max_words: int | None = None
    ratio: float | None = None

    def __str__(self) -> str:
        most = self.max_sentences
        if self == Length():
            most = DEFAULT_MAX_SENTENCES
        told = []
        if most is not None:
            told.append(f"at most {most} sentence{'s' if most != 1 else ''}")
        if self.max_words is not None:
            told.append(f"at most {self.max_words} word{'s' if self.max_words != 1 else ''}")
        if self.ratio is not None:
            told.append(f"at most {100 * self.ratio:g} % of the sentences")
        return ", ".join(told)


@dataclass(frozen=True)
class Sheet:
    """What to have rated.

    Attributes:
        engines: version folders, one or two.
        data: rows with `text`.
        documents: how many of them.
        length: of the summaries.
        out: the folder to write; must not exist.
        seed: decides which documents, and the order.
    """

    engines: tuple[Path, ...]
    data: Path
    documents: int
    length: Length
    out: Path
    seed: int


@dataclass(frozen=True)
class _Document:
    row: int
    text: str
    sentences: list[str]


@dataclass(frozen=True)
class _Row:
    document: _Document
    engines: tuple[str, ...]
    sentences: tuple[int, ...]


def write_sheet(asked: Sheet) -> Key:
    """Write the folder, whole or not at all; returns the key.

    Raises:
        EngineError: an engine or the data is not what it should be, or the folder is there.
    """
    if asked.out.exists():
        raise EngineError(
            f"--out {asked.out} exists, and may hold filled sheets; name a folder that does not"
        )
    chance = Random(asked.seed)
    documents = _chosen_documents(asked, chance)
    engines = [Summarizer(folder) for folder in asked.engines]
    names = _names(engines)
    rows = []
    for document in documents:
        rows += _rows(document, dict(zip(names, engines, strict=True)), asked.length, chance)
    key = _key(asked, names, engines, rows, documents)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{asked.out.name}-", dir=asked.out.parent))
    try:
        _write_files(partial, key, rows, documents)
        partial.chmod(0o755)
        partial.rename(asked.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return key


def _chosen_documents(asked: Sheet, chance: Random) -> list[_Document]:
    """A seeded choice of the documents that are longer than their summary."""
    texts = list(_texts(asked.data))
    chance.shuffle(texts)
    chosen: list[_Document] = []
    seen: set[str] = set()
    for row, text in texts:
        if len(chosen) == asked.documents:
            break
        sentences = [text[start:end] for start, end in split_sentences(text)]
        if text not in seen and len(sentences) > (asked.length.max_sentences or 1):
            chosen.append(_Document(row, text, sentences))
        seen.add(text)
    if len(chosen) < asked.documents:
        raise DataError(
            f"{asked.data} has {len(chosen)} different documents that are longer than a summary "
            f"({asked.length}); ask for fewer than {asked.documents} with --documents"
        )
    return chosen


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    for number, row in enumerate(read_rows(path), start=1):
        text = row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}:{number}: field 'text' must be a string that is not blank")
        yield number, text


def _names(engines: Sequence[Summarizer]) -> list[str]:
    cards = [engine.card for engine in engines]
    names = [card.name for card in cards]
    if len(set(names)) < len(names):
        names = [f"{card.name} {card.version}" for card in cards]
    if len({card.engine_sha256 for card in cards}) < len(cards) or len(set(names)) < len(names):
        raise EngineError("--against names the same engine again; name another one")
    return names


def _rows(
    document: _Document, engines: dict[str, Summarizer], length: Length, chance: Random
) -> list[_Row]:
    """The different summaries of one document in random order."""
    by_summary: dict[tuple[int, ...], list[str]] = {}
    for name, engine in engines.items():
        found = ranked(document.sentences, engine.rank)
        chosen = found.chosen(
            max_sentences=length.max_sentences, max_words=length.max_words, ratio=length.ratio
        )
        if not chosen:
            raise EngineError(
                f"no sentence of the document in line {document.row} fits into {length}; "
                "allow more with --words"
            )
        by_summary.setdefault(tuple(chosen), []).append(name)
    rows = [_Row(document, tuple(names), chosen) for chosen, names in by_summary.items()]
    chance.shuffle(rows)
    return rows


def _key(
    asked: Sheet, names: Sequence[str], engines: Sequence[Summarizer], rows: Sequence[_Row],
    documents: Sequence[_Document],
) -> Key:  # fmt: skip
    data_sha256 = file_sha256(asked.data)
    rated = tuple(
        RatedEngine(name=name, version=engine.card.version, engine_sha256=engine.card.engine_sha256)
        for name, engine in zip(names, engines, strict=True)
    )
    # In the items' names, so that rows of another sheet are told from these.
    mark = f"{data_sha256} {asked.seed} {asked.length} {[each.engine_sha256 for each in rated]}"
    items = {}
    for number, row in enumerate(rows, start=1):
        digest = hashlib.sha256(f"{mark} {number} {len(rows)}".encode()).hexdigest()
        items[f"{number:02d}-{digest[:4]}"] = Item(
            document=_file_name(documents.index(row.document) + 1),
            row=row.document.row,
            engines=row.engines,
            sentences=row.sentences,
        )
    return Key(
        engines=rated, data=asked.data.name, data_sha256=data_sha256, length=str(asked.length),
        seed=asked.seed, items=items,
    )  # fmt: skip


def _file_name(number: int) -> str:
    return f"{number:02d}.txt"


def _write_files(
    folder: Path, key: Key, rows: Sequence[_Row], documents: Sequence[_Document]
) -> None:
    raters = folder / FOR_RATERS
    (raters / DOCUMENTS).mkdir(parents=True)
    for number, document in enumerate(documents, start=1):
        (raters / DOCUMENTS / _file_name(number)).write_text(document.text, encoding="utf-8")
    (raters / GUIDE_FILE).write_text(GUIDE, encoding="utf-8")
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow(COLUMNS)
    empty = [""] * (len(CRITERIA) + 1)
    for (name, item), row in zip(key.items.items(), rows, strict=True):
        sentences = (row.document.sentences[index] for index in row.sentences)
        summary = " ".join(" ".join(sentences).split())
        writer.writerow([name, f"{DOCUMENTS}/{item.document}", _as_text(summary), *empty])
    # With a byte order mark, without which Excel reads UTF-8 as something else.
    (raters / SHEET_FILE).write_text(lines.getvalue(), encoding="utf-8-sig", newline="")
    text = key.model_dump_json(indent=2) + "\n"
    (folder / KEY_FILE).write_text(text, encoding="utf-8")


def _as_text(summary: str) -> str:
    return f"'{summary}" if summary.startswith(FORMULA_SIGNS) else summary

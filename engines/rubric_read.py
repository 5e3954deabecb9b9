"""Reads filled rubric sheets. Every field that is wrong is named before anything is scored."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines.errors import DataError
from engines.rubric import COMMENT, CRITERIA, HIGHEST, ITEM, LOWEST, Key

DELIMITERS = ",;\t"
# Excel's "CSV UTF-8", and what its plain "CSV" is in western Europe and America.
ENCODINGS = ("utf-8-sig", "cp1252")
MOST_TOLD = 20


@dataclass(frozen=True)
class Missing:
    """A field that a rater left empty, or a row that is not in the sheet (then `row` is None)."""

    file: str
    row: int | None
    item: str
    column: str


@dataclass(frozen=True)
class FilledSheet:
    """One rater's ratings by item and criterion, comments by item, and what is missing."""

    rater: str
    ratings: dict[tuple[str, str], int]
    comments: dict[str, str]
    missing: list[Missing]


@dataclass
class _Reading:
    """What was read of one sheet so far, and what is wrong with it."""

    path: Path
    ratings: dict[tuple[str, str], int] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)


def read_sheets(paths: Sequence[Path], key: Key) -> list[FilledSheet]:
    """Read the sheets of several raters, who are called as their files.

    Raises:
        DataError: a file cannot be read as a sheet of this key, or fields are not ratings; names
            every one by file, row (as a spreadsheet counts them) and column.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise DataError("a sheet is named twice; name the sheet of each rater once")
    stems = [path.stem for path in paths]
    sheets, wrong = [], []
    for path in paths:
        reading = _read(path, key)
        wrong += reading.wrong
        rater = path.stem if stems.count(path.stem) == 1 else str(path)
        sheets.append(FilledSheet(rater, reading.ratings, reading.comments, reading.missing))
    if wrong:
        more = f"\n… and {len(wrong) - MOST_TOLD} more" if len(wrong) > MOST_TOLD else ""
        raise DataError("nothing was scored:\n" + "\n".join(wrong[:MOST_TOLD]) + more)
    return sheets


def _read(path: Path, key: Key) -> _Reading:
    reading = _Reading(path)
    for number, row in _rows(path):
        if any(isinstance(value, str) and value.strip() for value in row.values()):
            _read_row(reading, number, row, key)
    for item in key.items:
        if item not in reading.rows:
            reading.missing += [Missing(str(path), None, item, each) for each in CRITERIA]
    if not reading.ratings and not reading.wrong:
        reading.wrong.append(f"{path}: no field is filled in")
    return reading


def _read_row(reading: _Reading, number: int, row: Mapping[str, str | None], key: Key) -> None:
    where = f"{reading.path}, row {number}"
    item = (row.get(ITEM) or "").strip()
    if item not in key.items:
        said = f"item {item!r} is not in the key" if item else "column item is empty"
        reading.wrong.append(f"{where}: {said}; is the sheet another one's?")
        return
    if item in reading.rows:
        reading.wrong.append(f"{where}: item {item} stands in row {reading.rows[item]} already")
        return
    reading.rows[item] = number
    comment = (row.get(COMMENT) or "").strip()
    if comment:
        reading.comments[item] = comment
    for criterion in CRITERIA:
        given = (row.get(criterion) or "").strip()
        if not given:
            reading.missing.append(Missing(str(reading.path), number, item, criterion))
        elif given.isdecimal() and LOWEST <= int(given) <= HIGHEST:
            reading.ratings[item, criterion] = int(given)
        else:
            reading.wrong.append(
                f"{where}, column {criterion}: {given!r} is not a whole number from {LOWEST} to "
                f"{HIGHEST}"
            )


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    """Rows by column, with the number that a spreadsheet gives them."""
    text = _text(path)
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"{path} is not CSV: {error}; save the sheet as CSV") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    lacking = [name for name in (ITEM, *CRITERIA) if name not in header]
    if lacking:
        raise DataError(
            f"{path}, row 1: no column {', '.join(lacking)}; leave the first row as it was, and "
            "save the sheet as CSV"
        )
    for number, values in enumerate(rows[1:], start=2):
        padded = [*values, *[""] * (len(header) - len(values))]
        yield number, dict(zip(header, padded, strict=False))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the sheet {path}: {error.strerror}") from error
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{path} is not text; save the sheet as CSV")

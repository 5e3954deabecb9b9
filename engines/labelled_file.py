"""One file of labelled texts: JSON lines or CSV, gzipped or not, checked line by line."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.checkpoint_labels import ProblemType
from engines.data import UNREADABLE, read_rows
from engines.errors import DataError

# Between the labels of one text in a CSV field.
SEPARATOR = "|"
LEAST_TEXTS = 20


@dataclass(frozen=True)
class Example:
    """A text and the indices of its labels: one, or with multi-label any number."""

    text: str
    labels: tuple[int, ...]


def read_examples(path: Path, labels: tuple[str, ...], problem_type: ProblemType) -> list[Example]:
    """Read rows of `text` and `label`.

    A label is a name or its index; with several to a text, a list, or names with `|` between
    them. A regression's are not read: it has no right and wrong, its texts are used.

    Raises:
        DataError: the file is missing, too short, or a field is wrong; names line and field.
    """
    examples = []
    for number, row in rows_of(path, ("text", "label")):
        where, text = f"{path}:{number}", row.get("text")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: field 'text' must be a string that is not blank")
        found: tuple[int, ...] = ()
        if problem_type != "regression":
            found = _indices(row.get("label"), labels, problem_type == "multi_label", where)
        examples.append(Example(text, found))
    if len(examples) < LEAST_TEXTS:
        raise DataError(f"{path} has {len(examples)} texts; at least {LEAST_TEXTS} are needed")
    return examples


def rows_of(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of a CSV or JSON lines file, each with the number of its line.

    Raises:
        DataError: the file is missing, malformed, or a CSV without one of `columns`; names it.
    """
    if ".csv" in path.suffixes[-2:]:
        yield from _csv_rows(path, columns)
    else:
        yield from enumerate(read_rows(path), start=1)


def _indices(given: Any, labels: tuple[str, ...], several: bool, where: str) -> tuple[int, ...]:
    if not several:
        return (label_index(given, labels, where),)
    if isinstance(given, str):
        given = [name for name in given.split(SEPARATOR) if name]
    if not isinstance(given, list):
        raise DataError(f"{where}: field 'label' must be a list, or names with {SEPARATOR} between")
    return tuple(label_index(each, labels, where) for each in given)


def label_index(given: Any, labels: tuple[str, ...], where: str) -> int:
    """The index of a label that is given by its name or its index.

    Raises:
        DataError: it is neither; says `where`.
    """
    if given in labels:
        return labels.index(given)
    is_number = isinstance(given, int) and not isinstance(given, bool)
    if (is_number or (isinstance(given, str) and given.isdecimal())) and int(given) < len(labels):
        index = int(given)
        if index >= 0:
            return index
    raise DataError(f"{where}: field 'label' is {given!r}, not one of {', '.join(labels)}")


def _csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise DataError(f"no data file at {path}; name it with --data")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        # Spreadsheets put a mark before the first column's name.
        with opener(path, "rt", encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise DataError(
                    f"{path}:1: no column {' and '.join(sorted(missing))}; those there are "
                    f"{', '.join(reader.fieldnames or ('none',))}"
                )
            for row in reader:
                if None in row:
                    raise DataError(
                        f"{path}:{reader.line_num}: more fields than columns; a text that holds a "
                        "comma must stand in double quotes"
                    )
                yield reader.line_num, row
    except (csv.Error, *UNREADABLE) as error:
        raise DataError(f"{path} is not CSV in UTF-8: {error}") from error

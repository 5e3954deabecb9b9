"""Finds and reads the files of a data set: which file is which split, and one row after another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.dataset_arrow import arrow_class_names, arrow_rows, parquet_class_names, parquet_rows
from engines.errors import DataError
from engines.labelled_file import rows_of

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)
# What the splits are called by those who publish data sets.
SPLIT_OF = {
    "train": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": TEST,
}
KIND = r"(?P<kind>csv|csv\.gz|jsonl|jsonl\.gz|parquet)"
DATA_FILE = re.compile(rf".+\.{KIND}")
SPLIT_FILE = re.compile(rf"(?P<split>{'|'.join(SPLIT_OF)})(?P<part>-\d+-of-\d+)?\.{KIND}")
KINDS = ".csv, .csv.gz, .jsonl, .jsonl.gz or .parquet"
# What `Dataset.save_to_disk` and `DatasetDict.save_to_disk` of Hugging Face's library leave.
SAVED_SPLIT, SAVED_SPLITS = "state.json", "dataset_dict.json"


@dataclass(frozen=True)
class Row:
    """A row as it stands in its file; `label` is a name or a number, `where` is file and line."""

    text: str
    label: str | int
    where: str


def find_files(path: Path) -> dict[str, list[Path]]:
    """The files of each split, by `train`, `validation` and `test`; a single file is all `train`.

    Raises:
        DataError: there is nothing to read, no train split, or a split in two forms.
    """
    if path.is_file():
        if not DATA_FILE.fullmatch(path.name):
            raise DataError(f"{path} is not a data file; a data file ends in {KINDS}")
        return {TRAIN: [path]}
    if not path.is_dir():
        raise DataError(f"no data at {path}; name a file ({KINDS}) or a folder with --data")
    if (path / SAVED_SPLIT).is_file():
        found = {TRAIN: _arrow_files(path)}
    elif (path / SAVED_SPLITS).is_file():
        names = {name: path / name for name in SPLIT_OF if (path / name / SAVED_SPLIT).is_file()}
        found = _merged([(SPLIT_OF[name], _arrow_files(at)) for name, at in names.items()], path)
    else:
        found = _split_files(path)
    if TRAIN not in found:
        raise DataError(
            f"{path} has no train split; it needs a file called train.csv, train.jsonl or "
            f"train-….parquet. There: {_content(path)}"
        )
    return {split: found[split] for split in SPLITS if split in found}


def read_split(paths: list[Path], text_column: str, label_column: str) -> list[Row]:
    """The rows of a split's files.

    Raises:
        DataError: a column is missing, a text is blank, or a label is no name or number; names
            file and line.
    """
    rows = []
    for path in paths:
        for number, fields in _rows(path, (text_column, label_column)):
            where = f"{path}:{number}"
            for column in (text_column, label_column):
                if column not in fields:
                    raise DataError(
                        f"{where}: no column {column}; those there are {', '.join(fields)}. Name "
                        "the right ones with --text-column and --label-column"
                    )
            text = fields[text_column]
            if not isinstance(text, str) or not text.strip():
                raise DataError(
                    f"{where}: field {text_column!r} must be a string that is not blank"
                )
            rows.append(Row(text, _label(fields[label_column], label_column, where), where))
    return rows


def class_names(path: Path, label_column: str) -> tuple[str, ...] | None:
    """The names of numbered labels that a Parquet or Arrow file carries (a `ClassLabel`)."""
    if path.suffix == ".parquet":
        return parquet_class_names(path, label_column)
    return arrow_class_names(path, label_column) if path.suffix == ".arrow" else None


def _rows(path: Path, columns: tuple[str, str]) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".parquet":
        return parquet_rows(path, columns)
    # Columns of other files are looked for row by row: JSON lines have no header.
    return arrow_rows(path, columns) if path.suffix == ".arrow" else rows_of(path, ())


def _label(given: Any, column: str, where: str) -> str | int:
    if isinstance(given, str) and given.strip():
        return given.strip()
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, int):
        return given
    if isinstance(given, float) and given.is_integer():
        return int(given)
    if isinstance(given, list):
        raise DataError(f"{where}: field {column!r} is a list; a text has one label here")
    raise DataError(f"{where}: field {column!r} is {given!r}, not a label's name or number")


def _split_files(folder: Path) -> dict[str, list[Path]]:
    candidates = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    named = [(path, SPLIT_FILE.fullmatch(path.name)) for path in candidates]
    folders = {path.parent for path, match in named if match and SPLIT_OF[match["split"]] == TRAIN}
    if len(folders) > 1:
        raise DataError(
            f"{folder} holds several data sets; name one: {', '.join(map(str, sorted(folders)))}"
        )
    groups: dict[tuple[str, str, str], list[Path]] = {}
    for path, match in named:
        if match and path.parent in folders:
            key = (SPLIT_OF[match["split"]], match["split"], match["kind"])
            groups.setdefault(key, []).append(path)
    return _merged([(split, paths) for (split, _, _), paths in groups.items()], folder)


def _merged(found: list[tuple[str, list[Path]]], folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for split, paths in found:
        if split in files:
            raise DataError(
                f"{folder} has two {split} splits, {files[split][0].name} and {paths[0].name}; "
                "take one away"
            )
        files[split] = paths
    return files


def _arrow_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.arrow"))
    if not files:
        raise DataError(f"{folder} has no .arrow file; save the data set again")
    return files


def _content(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir())
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "nothing"

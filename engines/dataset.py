"""Reads a team's data set: a file or a folder, checked, split, and without leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines.checksums import file_sha256
from engines.data import LabelledText, hold_out
from engines.dataset_checks import (
    Item,
    counted,
    require_enough,
    without_leaks,
    without_repeats,
)
from engines.dataset_files import (
    TEST,
    TRAIN,
    VALIDATION,
    Row,
    class_names,
    find_files,
    read_split,
)
from engines.errors import DataError
from engines.labelled_file import label_index

# More different ones than this are texts, or numbers, in the wrong column.
MOST_LABELS = 1000
# The label in a test split that was published without its answers.
UNLABELLED = -1


@dataclass(frozen=True)
class Dataset:
    """Texts with labels in three parts that share none; `test` is empty where none was given.

    Attributes:
        labels: their names; a `LabelledText.label` is an index of these.
        checksums: SHA-256 of each file that was read, by its path in the data set.
        notes: what was found and done about it, a sentence each, for people.
    """

    labels: tuple[str, ...]
    train: list[LabelledText]
    validation: list[LabelledText]
    test: list[LabelledText]
    checksums: dict[str, str]
    notes: tuple[str, ...]


def read_dataset(
    path: Path,
    *,
    validation_share: float = 0.1,
    seed: int = 50,
    text_column: str = "text",
    label_column: str = "label",
    labels: Sequence[str] | None = None,
) -> Dataset:
    """Read one file, a folder with train, validation and test, or a Hugging Face data set.

    Files are CSV or JSON lines (gzipped or not), Parquet, or what `save_to_disk` leaves. Where
    there is no validation split, a share of each label's training texts is held back for it.
    The same files, share and seed give the same result.

    Args:
        path: a file, or a folder.
        validation_share: how much is held back where there is no validation split, 0 to 0.5.
        seed: decides which texts are held back.
        text_column: the column, or field, of the texts.
        label_column: the column, or field, of the labels: names, or numbers from 0.
        labels: names of numbered labels, or the order of named ones; by default those that the
            files carry, or all that the training texts have, sorted.

    Raises:
        DataError: something is missing or wrong, by file and line where it has one; or so many
            texts have contradictory labels, or so few a label, that training has no sense.
    """
    if not 0 < validation_share <= 0.5:
        raise DataError(f"--validation-share is {validation_share:g}; it must be in (0, 0.5]")
    files = find_files(path)
    root = path if path.is_dir() else path.parent
    rows = {split: read_split(paths, text_column, label_column) for split, paths in files.items()}
    notes: list[str] = []
    rows = _with_labels(rows, notes)
    named = tuple(labels or class_names(files[TRAIN][0], label_column) or ())
    names = named or _names(rows[TRAIN], label_column, notes)
    splits = {
        split: without_repeats(split, _items(each, names, bool(named), root), names, notes)
        for split, each in rows.items()
    }
    splits = without_leaks(splits, notes)
    require_enough(splits[TRAIN], names, notes)
    if VALIDATION not in splits:
        splits |= _held_back(splits[TRAIN], len(names), validation_share, seed, notes)
    return Dataset(
        labels=names,
        train=_texts(splits[TRAIN]),
        validation=_texts(splits[VALIDATION]),
        test=_texts(splits.get(TEST, [])),
        checksums=_checksums(root, files),
        notes=tuple(notes),
    )


def _with_labels(rows: dict[str, list[Row]], notes: list[str]) -> dict[str, list[Row]]:
    """Without the splits that were published without their labels, which are then all -1."""
    result = {}
    for split, each in rows.items():
        if split != TRAIN and each and all(row.label == UNLABELLED for row in each):
            notes.append(f"{split}: every label is {UNLABELLED}, so it was not used")
        else:
            result[split] = each
    return result


def _names(rows: list[Row], column: str, notes: list[str]) -> tuple[str, ...]:
    """The labels that stand in the rows, sorted: numbers by value, names by name."""
    found = {str(row.label) for row in rows}
    if len(found) > MOST_LABELS:
        raise DataError(
            f"field {column!r} has {len(found):,} different values in {counted(len(rows), 'row')}, "
            f"more than {MOST_LABELS:,}; name the column of the labels with --label-column"
        )
    if not all(name.removeprefix("-").isdecimal() for name in found):
        return tuple(sorted(found))
    notes.append("the labels are numbers; name them with --labels, in the order of their numbers")
    return tuple(sorted(found, key=int))


def _items(rows: list[Row], names: tuple[str, ...], numbered: bool, root: Path) -> list[Item]:
    """Rows with the index of their label; where `numbered`, a number is the index of a name."""
    items = []
    for row in rows:
        given = row.label if numbered else str(row.label)
        if not numbered and given not in names:
            raise DataError(
                f"{row.where}: the label is {given!r}, which no training text has; those are "
                f"{', '.join(names)}"
            )
        # Notes go into cards, which are to be the same wherever the data lies.
        place = row.where.removeprefix(f"{root}/")
        items.append(Item(row.text, label_index(given, names, row.where), place))
    return items


def _held_back(
    train: list[Item], labels: int, share: float, seed: int, notes: list[str]
) -> dict[str, list[Item]]:
    """Train and validation: `share` of each label's texts, at least one, is held back."""
    held: set[str] = set()
    for label in range(labels):
        texts = [item for item in _texts(train) if item.label == label]
        _, validation = hold_out(texts, max(share, 1 / len(texts)), seed)
        held |= {item.text for item in validation}
    notes.append(
        f"no validation split: {len(held):,} of {counted(len(train), 'training text')} held back, "
        f"the same share of each label (seed {seed})"
    )
    return {
        TRAIN: [item for item in train if item.text not in held],
        VALIDATION: [item for item in train if item.text in held],
    }


def _texts(items: list[Item]) -> list[LabelledText]:
    return [LabelledText(item.text, item.label) for item in items]


def _checksums(root: Path, files: dict[str, list[Path]]) -> dict[str, str]:
    return {
        file.relative_to(root).as_posix(): file_sha256(file)
        for paths in files.values()
        for file in paths
    }

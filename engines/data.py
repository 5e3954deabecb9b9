"""Labelled texts from gzipped JSON lines, checked field by field."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import DataError

# What a text file raises that is cut short, or was never one.
UNREADABLE = (UnicodeDecodeError, gzip.BadGzipFile, EOFError, zlib.error)


@dataclass(frozen=True)
class LabelledText:
    """A text and the index of its label in the task's labels."""

    text: str
    label: int


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a `.jsonl` or `.jsonl.gz` file.

    Raises:
        DataError: the file is missing or cannot be read, or a line is not a JSON object; names
            the line.
    """
    if not path.is_file():
        raise DataError(f"no data file at {path}; pass the folder that holds it with --data")
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as error:
                    raise DataError(f"{path}:{number}: not JSON: {error}") from error
                if not isinstance(row, dict):
                    raise DataError(f"{path}:{number}: expected an object with text and label")
                yield row
    except UNREADABLE as error:
        raise DataError(f"{path} is not JSON lines in UTF-8: {error}") from error


def read_labelled(path: Path, labels: tuple[str, ...]) -> list[LabelledText]:
    """Read `{"text", "label"}` rows.

    Raises:
        DataError: a field is missing or a label is not one of `labels`; names line and field.
    """
    texts = []
    for number, row in enumerate(read_rows(path), start=1):
        text, label = row.get("text"), row.get("label")
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{path}:{number}: field 'text' must be a string that is not blank")
        if label not in labels:
            raise DataError(f"{path}:{number}: field 'label' is {label!r}, not one of {labels}")
        texts.append(LabelledText(text, labels.index(label)))
    return texts


def hold_out(
    texts: list[LabelledText], share: float, seed: int
) -> tuple[list[LabelledText], list[LabelledText]]:
    """Split off `share` of the distinct texts for validation: a text never stands on both sides."""
    distinct = sorted({item.text for item in texts})
    random.Random(seed).shuffle(distinct)
    held = set(distinct[: round(len(distinct) * share)])
    train = [item for item in texts if item.text not in held]
    seen: set[str] = set()
    validation = []
    for item in texts:
        if item.text in held and item.text not in seen:
            seen.add(item.text)
            validation.append(item)
    return train, validation


def hold_out_sentences(
    texts: list[LabelledText], count: int, least_words: int, seed: int
) -> tuple[list[LabelledText], list[LabelledText]]:
    """Split off whole sentences from a set that holds their phrases too, as SST-2 does.

    A held-out text has at least `least_words` words and is part of no other text; every text
    that is part of it leaves the training side. Split at random instead, validation would ask
    for phrases whose sentence was trained on.
    """
    everything = "\n".join(sorted({item.text for item in texts}))
    candidates = [item for item in texts if len(item.text.split()) >= least_words]
    random.Random(seed).shuffle(candidates)
    validation: list[LabelledText] = []
    for item in candidates:
        if len(validation) == count:
            break
        if everything.count(item.text) == 1:
            validation.append(item)
    held = "\n".join(item.text for item in validation)
    return [item for item in texts if item.text.strip() not in held], validation

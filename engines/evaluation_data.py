"""The labelled texts that an engine is evaluated on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.card import EngineCard
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.errors import DataError
from engines.labelled_file import read_examples, rows_of
from engines.measure import Floats, Labels
from engines.scores import labels_matrix


@dataclass(frozen=True)
class LabelledTexts:
    """One labelled file.

    `expected` is bool (texts, labels). Of a regression, `values` are float64 (texts,) instead, in
    the units of its labels.
    """

    name: str
    sha256: str
    texts: list[str]
    expected: Labels
    values: NDArray[np.float64] | None = None

    def chosen(self, indices: Sequence[int]) -> LabelledTexts:
        """Some of the texts, in that order."""
        values = None if self.values is None else self.values[list(indices)]
        texts = [self.texts[index] for index in indices]
        return LabelledTexts(self.name, self.sha256, texts, self.expected[list(indices)], values)


def labelled_texts(card: EngineCard, data: Path | None) -> list[LabelledTexts]:
    """The files to evaluate a model on: the one named, or a default model's below a folder.

    Raises:
        DataError: a file is missing or malformed, or which one is meant is not clear.
    """
    if data is None:
        return []
    if not data.is_dir():
        return [_read(card, data, data.name)]
    spec = CATALOG.get(card.name)
    if spec is None or not spec.data or list(spec.labels) != card.labels:
        raise DataError(
            f"{data} is a folder; name the labelled file for {card.name} with --data, JSON lines "
            "or CSV. Only the default models know their files by name"
        )
    return [_read(card, data / name, name) for name in spec.data]


def _read(card: EngineCard, path: Path, name: str) -> LabelledTexts:
    labels = tuple(card.labels)
    examples = read_examples(path, labels, card.problem_type)
    values = None
    if card.problem_type == "regression":
        rows = rows_of(path, ("text", "label"))
        values = np.array([_value(row.get("label"), f"{path}:{n}") for n, row in rows])
    expected = labels_matrix([example.labels for example in examples], len(labels))
    texts = [example.text for example in examples]
    return LabelledTexts(name, file_sha256(path), texts, expected, values)


def _value(given: Any, where: str) -> float:
    """A label that is a number."""
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: field 'label' is {given!r}, not a number")
    return value


def shares_right(problem_type: str, expected: Labels, given: Labels) -> NDArray[np.float64]:
    """The share of each text's decisions that is right, (texts,): 0 or 1 where it has one label."""
    if problem_type == "multi_label":
        decided: NDArray[np.float64] = (expected == given).mean(axis=1)
        return decided
    right: NDArray[np.float64] = (expected & given).any(axis=1).astype(np.float64)
    return right


def value_errors(expected: NDArray[np.float64], values: Floats) -> tuple[float, float, float]:
    """Mean absolute and root mean square error of a regression, and Pearson's correlation."""
    found = values.astype(np.float64)
    difference = found - expected
    spread = float(found.std() * expected.std())
    shared = float(((found - found.mean()) * (expected - expected.mean())).mean())
    return (
        float(np.abs(difference).mean()),
        math.sqrt(float((difference**2).mean())),
        shared / spread if spread else 0.0,
    )

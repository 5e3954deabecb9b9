"""Where two engines answer the same texts with different labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.evaluated_engine import EvaluatedEngine
from engines.evaluation_record import Agreement, DifferentAnswer
from engines.measure import Floats, Labels
from engines.quality import mcnemar

MOST_EXAMPLES = 50
MOST_CHARACTERS = 300
NO_LABEL = "none"


def agreement(
    name: str,
    texts: Sequence[str],
    expected: Labels | None,
    first: tuple[EvaluatedEngine, Floats],
    second: tuple[EvaluatedEngine, Floats],
) -> Agreement:
    """How often two engines differ, which is right then, and the first texts where they do.

    Args:
        name: of the texts.
        texts: what both answered.
        expected: their labels, bool (texts, labels); None where they have none.
        first: an engine and its scores.
        second: another, with its labels in the same order.
    """
    labels = first[0].names
    one, other = first[0].labels(first[1]), second[0].labels(second[1])
    differ = (one != other).any(axis=1)
    right = None if expected is None else _right(expected, one, other)
    return Agreement(
        data=name,
        rows=len(texts),
        labels_differ=int(differ.sum()),
        only_engine_right=right and right[0],
        only_against_right=right and right[1],
        p_value=mcnemar(*right) if right else None,
        examples=[
            DifferentAnswer(
                data=name,
                text=shortened(texts[index]),
                expected=None if expected is None else named(expected[index], labels),
                engine=named(one[index], labels),
                against=named(other[index], labels),
            )
            for index in np.flatnonzero(differ)[:MOST_EXAMPLES].tolist()
        ],
    )


def _right(expected: Labels, one: Labels, other: Labels) -> tuple[int, int]:
    """Texts that only the first, and only the second engine has all labels of."""
    first = (one == expected).all(axis=1)
    second = (other == expected).all(axis=1)
    return int((first & ~second).sum()), int((second & ~first).sum())


def named(row: Labels, labels: Sequence[str]) -> str:
    """The labels of one text, for people."""
    given = [label for label, is_given in zip(labels, row.tolist(), strict=True) if is_given]
    return ", ".join(given) or NO_LABEL


def shortened(text: str) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"

"""What is wrong with many data sets: repeated texts, contradictions, leaks, labels with no texts.

What can be mended without asking is, and noted. Two texts are the same here where nothing but case
and white space tells them apart, because the base encoder reads both alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from engines.dataset_files import TEST, TRAIN, VALIDATION
from engines.errors import DataError

# Fewer cannot be learned, and leave nothing to check with.
LEAST_OF_A_LABEL = 5
FEW_OF_A_LABEL = 20
# More contradictions than this are no slips: the labels are in another column, or a text has
# several.
MOST_CONTRADICTIONS = 0.1
EXAMPLES = 3


@dataclass(frozen=True)
class Item:
    """A text, the index of its label, and the file and line that it stands in."""

    text: str
    label: int
    where: str

    @property
    def key(self) -> str:
        """The text without what the base encoder does not see either."""
        return " ".join(self.text.split()).casefold()


def without_repeats(
    split: str, items: list[Item], labels: tuple[str, ...], notes: list[str]
) -> list[Item]:
    """Each text once; those that stand there with different labels not at all.

    Raises:
        DataError: so many texts have different labels that the data cannot be meant so.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.key, []).append(item)
    contradicted = [group for group in groups.values() if len({i.label for i in group}) > 1]
    kept = [group[0] for group in groups.values() if len({i.label for i in group}) == 1]
    lost = sum(map(len, contradicted))
    if contradicted:
        examples = "; ".join(_contradiction(group, labels) for group in contradicted[:EXAMPLES])
        found = (
            f"{split}: {counted(len(contradicted), 'text')} with different labels in different "
            f"rows, {counted(lost, 'row')}: {examples}"
        )
        if lost > MOST_CONTRADICTIONS * len(items):
            raise DataError(
                f"{found}. That is more than {100 * MOST_CONTRADICTIONS:.0f} % of the rows; check "
                "the label column, or that a text has one label"
            )
        notes.append(f"{found}. All of these rows were left out")
    repeated = len(items) - lost - len(kept)
    if repeated:
        notes.append(
            f"{split}: {counted(repeated, 'row')} repeated an earlier one and "
            f"{'was' if repeated == 1 else 'were'} left out"
        )
    return kept


def without_leaks(splits: dict[str, list[Item]], notes: list[str]) -> dict[str, list[Item]]:
    """Splits of which no two share a text: it stays in test, or else in validation."""
    result = dict(splits)
    for split, others in ((VALIDATION, (TEST,)), (TRAIN, (VALIDATION, TEST))):
        for other in others:
            if split not in result or other not in result:
                continue
            judged = {item.key for item in result[other]}
            leaked = [item for item in result[split] if item.key in judged]
            if leaked:
                places = ", ".join(item.where for item in leaked[:EXAMPLES])
                notes.append(
                    f"{split}: {counted(len(leaked), 'text')} also in {other}, taken out of "
                    f"{split}: {places}{', …' if len(leaked) > EXAMPLES else ''}"
                )
                result[split] = [item for item in result[split] if item.key not in judged]
    return result


def require_enough(items: list[Item], labels: tuple[str, ...], notes: list[str]) -> None:
    """Raise DataError unless every label has texts to learn it from, and note those with few."""
    if len(labels) < 2:
        raise DataError(
            f"the only label is {labels[0]!r}; a classifier needs at least two"
            if labels
            else "there is no text to train on"
        )
    count = Counter(item.label for item in items)
    few = [(name, count[index]) for index, name in enumerate(labels)]
    for name, texts in few:
        if texts < LEAST_OF_A_LABEL:
            found = f" What was found: {'; '.join(notes)}" if notes else ""
            raise DataError(
                f"label {name!r} has {counted(texts, 'training text')}; it needs at least "
                f"{LEAST_OF_A_LABEL}. Add some, or take the label out.{found}"
            )
    for name, texts in few:
        if texts < FEW_OF_A_LABEL:
            notes.append(f"label {name!r} has only {counted(texts, 'training text')}")


def counted(count: int, what: str) -> str:
    """`1 text`, `2 texts`, `1,500 texts`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _contradiction(group: list[Item], labels: tuple[str, ...]) -> str:
    first = group[0]
    other = next(item for item in group if item.label != first.label)
    return f"{first.where} says {labels[first.label]!r}, {other.where} {labels[other.label]!r}"

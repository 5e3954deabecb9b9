"""What the outputs of a classifier mean: its kind of problem, and the names of its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engines.errors import CheckpointError

ProblemType = Literal["single_label", "multi_label", "regression"]
CONFIG_FILE = "config.json"
PROBLEM_TYPES: dict[str, ProblemType] = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}
REGRESSION_LABEL = "score"


def problem_type_of(config: dict[str, Any], outputs: int, folder: Path) -> ProblemType:
    """What kind of answer a head of so many outputs gives.

    Raises:
        CheckpointError: config.json says something that does not fit, or is not served.
    """
    said = config.get("problem_type")
    if said is None:
        return "regression" if outputs == 1 else "single_label"
    path = folder / CONFIG_FILE
    if said not in PROBLEM_TYPES:
        raise CheckpointError(
            f"{path}: field problem_type is {said!r}, not one of {', '.join(PROBLEM_TYPES)}"
        )
    found = PROBLEM_TYPES[said]
    if found == "single_label" and outputs == 1:
        raise CheckpointError(
            f"{path}: one output cannot choose among labels; set problem_type to regression or "
            "multi_label_classification"
        )
    if found == "regression" and outputs != 1:
        raise CheckpointError(f"{path}: a regression of {outputs} values is not served, one is")
    return found


def labels_of(
    config: dict[str, Any],
    outputs: int,
    problem_type: ProblemType,
    given: tuple[str, ...],
    folder: Path,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels in the order of the logits, and what was assumed.

    Raises:
        CheckpointError: names are missing, or not one for each output.
    """
    path = folder / CONFIG_FILE
    if given:
        return _checked_labels(given, outputs, "--labels"), ()
    table = config.get("id2label")
    numbered = [f"LABEL_{index}" for index in range(outputs)]
    if problem_type == "regression" and table in (None, {"0": "LABEL_0"}):
        return (REGRESSION_LABEL,), ()
    if not isinstance(table, dict) or not table:
        raise CheckpointError(
            f"{path}: field id2label is missing; name the {outputs} labels with --labels a,b,…"
        )
    ids = [str(index) for index in range(len(table))]
    if sorted(table) != sorted(ids) or not all(isinstance(v, str) for v in table.values()):
        raise CheckpointError(f"{path}: field id2label must map 0, 1, … to names; or use --labels")
    labels = _checked_labels(tuple(table[index] for index in ids), outputs, f"{path}: id2label")
    if list(labels) == numbered:
        return labels, (f"the labels have no names but {', '.join(labels)}; --labels gives some",)
    return labels, ()


def _checked_labels(labels: tuple[str, ...], outputs: int, where: str) -> tuple[str, ...]:
    if len(labels) != outputs:
        raise CheckpointError(f"{where} has {len(labels)} labels, the model {outputs} outputs")
    if len(set(labels)) != len(labels):
        raise CheckpointError(f"{where} names a label twice: {', '.join(labels)}")
    if any(not label.strip() or len(label.splitlines()) != 1 for label in labels):
        raise CheckpointError(f"{where} has a label that is blank or longer than a line")
    return labels

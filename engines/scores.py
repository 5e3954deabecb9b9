"""What an imported model's logits mean: probabilities of one label, of several, or a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.card import Accuracy, Drift, Invariance
from core.scores import DEFAULT_THRESHOLD, scores_of
from core.tokenizer import pad
from engines.checkpoint_labels import ProblemType
from engines.measure import (
    BATCH,
    Engine,
    Floats,
    Labels,
    Rows,
    best_labels,
    f1,
    feed,
    invariance_of,
    no_labels,
    score_drift,
)

SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Scores:
    """Reads logits as the service does.

    `unit` is what a regression's change counts in: the spread of its own answers, since the gate
    cannot know whether a value is stars or dollars.
    """

    problem_type: ProblemType
    unit: float = 1.0

    def of(self, logits: Floats) -> Floats:
        """Scores, float32 (texts, labels)."""
        scores = scores_of(logits, self.problem_type)
        return scores / np.float32(self.unit) if self.problem_type == "regression" else scores

    def labels(self, scores: Floats) -> Labels:
        """Which labels are given, (texts, labels); a regression gives none."""
        if self.problem_type == "regression":
            return no_labels(scores)
        if self.problem_type == "multi_label":
            return scores > DEFAULT_THRESHOLD
        return best_labels(scores)

    def answers(self, engine: Engine, rows: Rows, length: int | None = None) -> Floats:
        """Scores of one batch, padded to `length` or the rows' bucket."""
        return self.of(engine.run(None, feed(*pad(rows, length)))[0])

    def alone(self, engine: Engine, rows: Rows) -> Floats:
        """Scores of each text by itself, float32 (texts, labels)."""
        return np.concatenate([self.answers(engine, [row]) for row in rows])

    def in_batches(self, engine: Engine, rows: Rows) -> Floats:
        """Scores in batches of 32 in the given order, float32 (texts, labels)."""
        starts = range(0, len(rows), BATCH)
        return np.concatenate([self.answers(engine, rows[i : i + BATCH]) for i in starts])

    def drift(self, reference: Floats, answered: Floats) -> Drift:
        """Change of scores against the unquantized graph."""
        return score_drift(reference, answered, self.labels)

    def invariance(
        self, engine: Engine, rows: Rows, alone: Floats, max_tokens: int, limit: float
    ) -> Invariance:
        """How far scores move with batch-mates and padding up to `max_tokens`."""

        def answer(some: Rows, length: int | None) -> Floats:
            return self.answers(engine, some, length)

        return invariance_of(answer, self.labels, rows, alone, limit, max_tokens)

    def accuracy(
        self, data: str, expected: Labels, reference: Floats, answered: Floats
    ) -> Accuracy:
        """Accuracy and macro F1 of the engine and of the unquantized graph.

        With several labels to a text, every label of every text is one decision, right or wrong.
        """
        right, f1 = self._figures(expected, answered)
        reference_right, reference_f1 = self._figures(expected, reference)
        return Accuracy(
            data=data,
            rows=len(expected),
            accuracy=right,
            macro_f1=f1,
            reference_accuracy=reference_right,
            reference_macro_f1=reference_f1,
        )

    def _figures(self, expected: Labels, scores: Floats) -> tuple[float, float]:
        given = self.labels(scores)
        right = given == expected
        if self.problem_type == "single_label":
            right = right.all(axis=1)
        f1_of_labels = [f1(*pair) for pair in zip(expected.T, given.T, strict=True)]
        return float(right.mean()), float(np.mean(f1_of_labels))


def scores_for(problem_type: ProblemType, reference: Engine, rows: Rows) -> Scores:
    """How to read a model, whose unquantized answers to `rows` give a regression its unit."""
    if problem_type != "regression":
        return Scores(problem_type)
    values = Scores(problem_type).in_batches(reference, rows)
    return Scores(problem_type, unit=max(float(values.std()), SMALLEST_SPREAD))


def labels_matrix(indices: Sequence[Sequence[int]], count: int) -> Labels:
    """Lists of labels as a matrix (texts, labels)."""
    matrix = np.zeros((len(indices), count), dtype=np.bool_)
    for row, given in enumerate(indices):
        matrix[row, list(given)] = True
    return matrix

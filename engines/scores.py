"""What an imported model's logits mean: probabilities of one label, of several, or a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.buckets import BUCKET_LENGTHS, bucket_length
from core.card import Accuracy, Drift, Invariance
from core.scores import sigmoid, softmax
from core.tokenizer import pad
from engines.checkpoint_labels import ProblemType
from engines.measure import BATCH, Engine, Floats, Rows, feed, macro_f1

THRESHOLD = 0.5
SMALLEST_SPREAD = 1e-6
Labels = NDArray[np.bool_]


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
        if self.problem_type == "regression":
            return logits / np.float32(self.unit)
        return sigmoid(logits) if self.problem_type == "multi_label" else softmax(logits)

    def labels(self, scores: Floats) -> Labels:
        """Which labels are given, (texts, labels); a regression gives none."""
        if self.problem_type == "regression":
            return np.zeros(scores.shape, dtype=np.bool_)
        if self.problem_type == "multi_label":
            return scores > THRESHOLD
        best: Labels = scores.argmax(axis=1)[:, None] == np.arange(scores.shape[1])
        return best

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
        change = np.abs(reference - answered).max(axis=1)
        changed = (self.labels(reference) != self.labels(answered)).any(axis=1)
        return Drift(
            texts=len(reference),
            mean_change=float(change.mean()),
            largest_change=float(change.max()),
            labels_changed=int(changed.sum()),
        )

    def invariance(
        self, engine: Engine, rows: Rows, alone: Floats, max_tokens: int, limit: float
    ) -> Invariance:
        """How far scores move in batches of 32 mixed lengths, and padded to longer buckets.

        Each text is padded to the next bucket and to one more, up to `max_tokens`.
        """
        next_length, some_length = [], []
        for index, row in enumerate(rows):
            least = bucket_length(len(row))
            longer = [n for n in BUCKET_LENGTHS if least < n <= max_tokens] or [max_tokens]
            next_length.append(self.answers(engine, [row], longer[0]))
            some_length.append(self.answers(engine, [row], longer[index % len(longer)]))
        others = [self.in_batches(engine, rows)]
        others += [np.concatenate(next_length), np.concatenate(some_length)]
        flips = np.zeros(len(rows), dtype=np.bool_)
        for other in others:
            flips |= (self.labels(other) != self.labels(alone)).any(axis=1)
        return Invariance(
            texts=len(rows),
            largest_change=max(float(np.abs(other - alone).max()) for other in others),
            labels_flipped=int(flips.sum()),
            limit=limit,
        )

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
        if self.problem_type == "single_label":
            truth, named = expected.argmax(axis=1), given.argmax(axis=1)
            return float((truth == named).mean()), macro_f1(truth, named, expected.shape[1])
        f1 = [_f1(expected[:, label], given[:, label]) for label in range(expected.shape[1])]
        return float((given == expected).mean()), float(np.mean(f1))


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


def _f1(expected: Labels, given: Labels) -> float:
    named = int(expected.sum() + given.sum())
    return 2 * int((expected & given).sum()) / named if named else 0.0

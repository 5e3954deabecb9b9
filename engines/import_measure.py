"""An imported engine beside its unquantized graph: drift, invariance, accuracy, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from core.tokenizer import TextTokenizer
from engines import gate
from engines.checkpoint_labels import ProblemType
from engines.examiner import Findings
from engines.labelled_file import Example, read_examples
from engines.measure import Engine, Floats, Rows
from engines.scores import labels_matrix, scores_for
from engines.texts import calibration_texts, probe_texts

MOST_CALIBRATION_TEXTS = 96
MOST_PROBES = 500


@dataclass(frozen=True)
class Texts:
    """What scales are set with, what answers are compared on, and what accuracy is counted on.

    No text that sets a scale is in the other two.
    """

    calibration: list[str]
    probes: list[str]
    examples: list[Example]
    data: str = ""


def texts_for(labels: tuple[str, ...], problem_type: ProblemType, data: Path | None) -> Texts:
    """The user's texts, or ours without data.

    Raises:
        DataError: see `read_examples`.
    """
    if data is None:
        return Texts(calibration_texts(), probe_texts(), [])
    examples = read_examples(data, labels, problem_type)
    order = np.random.default_rng(50).permutation(len(examples)).tolist()
    few = min(MOST_CALIBRATION_TEXTS, len(examples) // 4)
    rest = [examples[index] for index in order[few:]]
    return Texts(
        calibration=[examples[index].text for index in order[:few]],
        probes=[example.text for example in rest[:MOST_PROBES]],
        examples=rest if problem_type != "regression" else [],
        data=data.name,
    )


class Answers(Protocol):
    """What a model's answers mean: known of its checkpoint, and of its engine's card."""

    @property
    def max_tokens(self) -> int:
        """The longest text."""

    @property
    def problem_type(self) -> ProblemType:
        """One label, several, or a value."""

    @property
    def labels(self) -> Sequence[str]:
        """Their names, in the order of the logits."""


class ImportedExaminer:
    """The unquantized graph's answers, which are the same for all engines tried."""

    def __init__(
        self, answers: Answers, tokenizer: TextTokenizer, reference: Engine, texts: Texts
    ) -> None:
        self.max_tokens = answers.max_tokens
        self.rows = _ids(tokenizer, texts.probes)
        self.scores = scores_for(answers.problem_type, reference, self.rows)
        self.expected = self.scores.alone(reference, self.rows)
        self.data = texts.data
        rows = _ids(tokenizer, [example.text for example in texts.examples])
        # By length: a batch then has hardly any padding.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        self.labelled_rows = [rows[index] for index in order]
        self.labels = labels_matrix(
            [texts.examples[index].labels for index in order], len(answers.labels)
        )
        self.labelled = self._labelled_scores(reference)

    def examine(self, engine: Engine) -> Findings:
        """Whether an engine's answers are near enough, hold still, and are as right."""
        alone = self.scores.alone(engine, self.rows)
        drift = self.scores.drift(self.expected, alone)
        invariance = self.scores.invariance(
            engine, self.rows, alone, self.max_tokens, gate.INVARIANCE_LIMIT
        )
        accuracy = []
        if self.labelled is not None:
            answered = self._labelled_scores(engine)
            assert answered is not None
            accuracy = [self.scores.accuracy(self.data, self.labels, self.labelled, answered)]
        return Findings(drift, invariance, accuracy, gate.judge(drift, invariance, accuracy))

    def mean_change(self, engine: Engine, texts: int) -> float:
        """Mean change of a score over the first so many probes."""
        alone = self.scores.alone(engine, self.rows[:texts])
        return self.scores.drift(self.expected[:texts], alone).mean_change

    def _labelled_scores(self, engine: Engine) -> Floats | None:
        return self.scores.in_batches(engine, self.labelled_rows) if self.labelled_rows else None


def _ids(tokenizer: TextTokenizer, texts: Sequence[str]) -> Rows:
    return [tokens.ids for tokens in tokenizer.encode(texts)] if texts else []

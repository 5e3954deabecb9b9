"""An engine beside its unquantized graph: drift, invariance, accuracy, and what the gate says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.card import Accuracy, Drift, Invariance, Verdict
from core.tokenizer import TextTokenizer
from engines import gate, measure
from engines.material import Material
from engines.measure import Engine, Floats


@dataclass(frozen=True)
class Findings:
    """What an engine does to the answers, and what the gate says of it."""

    drift: Drift
    invariance: Invariance
    accuracy: list[Accuracy]
    verdict: Verdict


class Examiner:
    """The unquantized graph's answers, which are the same for all engines tried."""

    def __init__(
        self, output: str, tokenizer: TextTokenizer, reference: Engine, material: Material
    ) -> None:
        """`output` is that of the model's engines, `logits` or `embedding`."""
        self.output = output
        self.rows = [tokens.ids for tokens in tokenizer.encode(list(material.probes))]
        self.expected = measure.answers_alone(reference, self.rows)
        self.labelled: list[tuple[str, list[list[int]], NDArray[np.int64], Floats]] = []
        for name, items in material.labelled.items():
            encoded = tokenizer.encode([item.text for item in items])
            # By length: a batch then has hardly any padding.
            order = sorted(range(len(items)), key=lambda index: len(encoded[index].ids))
            rows = [encoded[index].ids for index in order]
            labels = np.array([items[index].label for index in order], dtype=np.int64)
            self.labelled.append((name, rows, labels, measure.answers_in_batches(reference, rows)))

    def examine(self, engine: Engine, /) -> Findings:
        """Whether an engine's answers are near enough, hold still, and are as right."""
        alone = measure.answers_alone(engine, self.rows)
        drift = measure.drift(self.expected, alone, self.output)
        held = measure.invariance(engine, self.rows, alone, gate.INVARIANCE_LIMIT)
        accuracy = [
            measure.accuracy(name, labels, expected, measure.answers_in_batches(engine, rows))
            for name, rows, labels, expected in self.labelled
        ]
        return Findings(drift, held, accuracy, gate.judge(drift, held, accuracy))

    def mean_change(self, engine: Engine, texts: int, /) -> float:
        """Mean change of an answer over the first so many probes."""
        alone = measure.answers_alone(engine, self.rows[:texts])
        return measure.drift(self.expected[:texts], alone, self.output).mean_change

"""The gate for candidates: the same limits as for a build, asked of every runtime's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.card import Accuracy, Verdict
from core.tokenizer import TextTokenizer
from engines import gate, measure
from engines.catalog import ModelSpec
from engines.material import default_material
from engines.measure import Engine, Floats
from engines.runtimes import Candidate, open_engine


class Examiner:
    """The unquantized graph's answers, which are the same for all candidates."""

    def __init__(
        self, spec: ModelSpec, tokenizer: TextTokenizer, reference: Engine, data: Path | None
    ) -> None:
        self.spec = spec
        material = default_material(spec, data)
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

    def judge(self, engine: Engine) -> Verdict:
        """Whether an engine's answers are near enough, hold still, and are as right."""
        alone = measure.answers_alone(engine, self.rows)
        drift = measure.drift(self.expected, alone, self.spec.output)
        invariance = measure.invariance(engine, self.rows, alone, gate.INVARIANCE_LIMIT)
        return gate.judge(drift, invariance, self.accuracies(engine))

    def accuracies(self, engine: Engine) -> list[Accuracy]:
        """Accuracy on every labelled file, beside the unquantized graph's."""
        return [
            measure.accuracy(name, labels, expected, measure.answers_in_batches(engine, rows))
            for name, rows, labels, expected in self.labelled
        ]


def verdicts(
    candidates: Sequence[Candidate],
    folder: Path,
    examiner: Examiner,
    told: Callable[[str], None] = lambda text: None,
) -> dict[Candidate, Verdict]:
    """The gate's verdict on each candidate.

    Answers depend on runtime and precision only, so each pair is asked once, with all cores.
    """
    found: dict[tuple[str, str], Verdict] = {}
    for candidate in candidates:
        pair = candidate.backend, candidate.precision
        if pair not in found:
            told(f"gate: {' '.join(pair)}")
            engine = open_engine(folder / candidate.engine_file, *pair)
            found[pair] = examiner.judge(engine)
    return {each: found[each.backend, each.precision] for each in candidates}

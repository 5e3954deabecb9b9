"""What changes to the texts do to an engine's answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engines.evaluated_engine import EvaluatedEngine
from engines.evaluation_data import LabelledTexts, shares_right
from engines.evaluation_record import Perturbed, Robustness
from engines.measure import Floats, Labels
from engines.perturbations import PERTURBATIONS, Perturbation, perturbed
from engines.scores import SMALLEST_SPREAD

SEED = 50
# Of each file: what a change costs shows in so many.
MOST_TEXTS = 500


def sample(labelled: LabelledTexts, most: int = MOST_TEXTS) -> LabelledTexts:
    """At most so many of the texts, the same ones every time, in their order."""
    if len(labelled.texts) <= most:
        return labelled
    chosen = np.random.default_rng(SEED).permutation(len(labelled.texts))[:most]
    return labelled.chosen(sorted(chosen.tolist()))


def measure_robustness(
    engine: EvaluatedEngine,
    name: str,
    texts: Sequence[str],
    expected: Labels | None,
    told: Callable[[int], None] = lambda texts: None,
    perturbations: Sequence[Perturbation] = PERTURBATIONS,
) -> Robustness:
    """Accuracy, labels flipped and change of scores with each perturbation.

    Args:
        engine: what is asked.
        name: of the texts.
        texts: unchanged ones.
        expected: their labels, bool (texts, labels); None where they have none.
        told: hears of texts as they are done.
        perturbations: the changes.
    """
    plain = engine.scores(texts, told)
    found = []
    for each in perturbations:
        changed = perturbed(texts, each, SEED)
        answered = engine.scores(changed, told)
        moved = sum(1 for before, after in zip(texts, changed, strict=True) if before != after)
        found.append(
            Perturbed(
                name=each.name,
                description=each.description,
                changed=moved / len(texts),
                accuracy=_accuracy(engine, expected, answered),
                labels_flipped=_flipped(engine, plain, answered),
                mean_change=_change(engine, plain, answered),
            )
        )
    return Robustness(
        data=name,
        texts=len(texts),
        seed=SEED,
        accuracy=_accuracy(engine, expected, plain),
        perturbations=found,
    )


def _accuracy(engine: EvaluatedEngine, expected: Labels | None, scores: Floats) -> float | None:
    if expected is None or engine.card.problem_type == "regression":
        return None
    right = shares_right(engine.card.problem_type, expected, engine.labels(scores))
    return float(right.mean())


def _flipped(engine: EvaluatedEngine, plain: Floats, answered: Floats) -> float | None:
    if engine.card.problem_type == "regression":
        return None
    return float((engine.labels(plain) != engine.labels(answered)).any(axis=1).mean())


def _change(engine: EvaluatedEngine, plain: Floats, answered: Floats) -> float:
    change = float(np.abs(plain - answered).max(axis=1).mean())
    if engine.card.problem_type == "regression":
        return change / max(float(plain.std()), SMALLEST_SPREAD)
    return change

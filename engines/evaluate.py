"""Evaluates a classifier, or two side by side: the straight line from folders to a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core.card import ENGINE_FILE
from engines.checksums import changed_files, recorded_files
from engines.engine_folder import engine_card
from engines.errors import EngineError
from engines.evaluate_agreement import agreement
from engines.evaluated_engine import EvaluatedEngine, open_for_evaluation
from engines.evaluation_data import LabelledTexts, labelled_texts, shares_right, value_errors
from engines.evaluation_record import (
    Agreement,
    Evaluation,
    EvaluationReport,
    Fairness,
    Quality,
    Robustness,
    Speed,
    ValueQuality,
)
from engines.fairness import fairness_texts, measure_fairness
from engines.measure import Floats, Labels
from engines.perturbations import PERTURBATIONS
from engines.price import Price
from engines.quality import (
    by_length,
    calibration,
    confusion,
    decisions,
    label_qualities,
    wilson_interval,
)
from engines.record import engine_tools
from engines.robustness import measure_robustness, sample
from engines.speed import measure_speed
from engines.texts import probe_texts

OUR_TEXTS = "texts of this project"


class Told(Protocol):
    """Hears how far a long measurement is."""

    def begin(self, step: str, total: int) -> None:
        """A step begins, of so many parts."""

    def advance(self, parts: int) -> None:
        """So many parts of it are done."""


@dataclass(frozen=True)
class Wanted:
    """What to evaluate with: data, time for each measurement of speed, and the machine's price."""

    data: Path | None = None
    seconds: float = 2.0
    price: Price | None = None


@dataclass(frozen=True)
class Answered:
    """One engine's scores on every labelled file."""

    engine: EvaluatedEngine
    files: list[tuple[LabelledTexts, Floats]]


def evaluate(folder: Path, against: Path | None, wanted: Wanted, told: Told) -> EvaluationReport:
    """Measure a classifier's quality, robustness, fairness, speed and size.

    Args:
        folder: the version folder of the engine.
        against: that of a second one, measured on the same texts and in turns.
        wanted: with what.
        told: hears of progress.

    Raises:
        EngineError: an engine or the data cannot be used, or the two answer different questions.
    """
    if against is not None:
        require_same_question(folder, against)
    first = open_for_evaluation(folder)
    engines = [first, open_for_evaluation(against, first.names)] if against else [first]
    # All data is read, and so checked, before anything is measured.
    data = labelled_texts(first.card, wanted.data)
    answered = [_answered(engine, data, told) for engine in engines]
    robust = [_robustness(each, told) for each in answered]
    fair = [_fairness(engine, told) for engine in engines]
    speed = _speed(answered, wanted, told)
    found = [_evaluation(*each) for each in zip(answered, robust, fair, speed, strict=True)]
    return EvaluationReport(
        evaluated_at=datetime.now(UTC).isoformat(timespec="seconds"),
        tools=engine_tools(),
        engine=found[0],
        against=found[1] if against else None,
        agreement=_agreements(*answered) if against else [],
    )


def require_same_question(first: Path, second: Path) -> None:
    """Raise EngineError unless two version folders answer with the same labels."""
    cards = [engine_card(folder) for folder in (first, second)]
    for field in ("task", "problem_type"):
        values = [getattr(card, field) for card in cards]
        if values[0] != values[1]:
            raise EngineError(
                f"{first} and {second} cannot be compared: {field} {values[0]} and {values[1]}"
            )
    if sorted(cards[0].labels) != sorted(cards[1].labels):
        raise EngineError(
            f"{first} and {second} cannot be compared: one answers {', '.join(cards[0].labels)}, "
            f"the other {', '.join(cards[1].labels)}"
        )


def _answered(engine: EvaluatedEngine, data: list[LabelledTexts], told: Told) -> Answered:
    files = []
    for labelled in data:
        told.begin(f"{engine.label}: {labelled.name}", len(labelled.texts))
        files.append((labelled, engine.scores(labelled.texts, told.advance)))
    return Answered(engine, files)


def _robustness(answered: Answered, told: Told) -> list[Robustness]:
    files = [sample(labelled) for labelled, _ in answered.files]
    named: list[tuple[str, list[str], Labels | None]] = [
        (each.name, each.texts, each.expected) for each in files
    ]
    found = []
    for name, texts, expected in named or [(OUR_TEXTS, probe_texts(), None)]:
        steps = len(texts) * (1 + len(PERTURBATIONS))
        told.begin(f"{answered.engine.label}: changes to {name}", steps)
        found.append(measure_robustness(answered.engine, name, texts, expected, told.advance))
    return found


def _fairness(engine: EvaluatedEngine, told: Told) -> Fairness:
    told.begin(f"{engine.label}: who is spoken of", len(fairness_texts()))

    def score(texts: Sequence[str]) -> Floats:
        return engine.scores(texts, told.advance)

    return measure_fairness(score, engine.names, engine.card.problem_type)


def _speed(answered: list[Answered], wanted: Wanted, told: Told) -> list[Speed]:
    texts = [text for labelled, _ in answered[0].files for text in labelled.texts]
    engines = [each.engine for each in answered]

    def tell(step: str) -> None:
        told.begin(step, 1)

    return measure_speed(engines, texts or probe_texts(), wanted.seconds, wanted.price, tell)


def _agreements(first: Answered, second: Answered) -> list[Agreement]:
    """Where the labels of two engines differ; a regression gives none."""
    if first.engine.card.problem_type == "regression":
        return []
    pairs = zip(first.files, second.files, strict=True)
    found = [
        agreement(one.name, one.texts, one.expected, (first.engine, a), (second.engine, b))
        for (one, a), (_, b) in pairs
    ]
    if found:
        return found
    texts = probe_texts()
    both = [(engine, engine.scores(texts)) for engine in (first.engine, second.engine)]
    return [agreement(OUR_TEXTS, texts, None, *both)]


def _evaluation(
    answered: Answered, robustness: list[Robustness], fairness: Fairness, speed: Speed
) -> Evaluation:
    engine, card = answered.engine, answered.engine.card
    regression = card.problem_type == "regression"
    file = engine.candidate.engine_file
    of_card = file == ENGINE_FILE or card.plan is not None
    changed = [name for name, *_ in changed_files(engine.folder, card)] if of_card else []
    return Evaluation(
        name=card.name,
        version=card.version,
        folder=str(engine.folder),
        precision=engine.candidate.precision,
        problem_type=card.problem_type,
        labels=list(engine.names),
        engine_sha256=recorded_files(card).get(file) or card.engine_sha256,
        changed_files=changed,
        quality=[] if regression else [_quality(engine, *file) for file in answered.files],
        values=[_values(*file) for file in answered.files] if regression else [],
        robustness=robustness,
        fairness=fairness,
        speed=speed,
    )


def _quality(engine: EvaluatedEngine, labelled: LabelledTexts, scores: Floats) -> Quality:
    kind, expected, given = engine.card.problem_type, labelled.expected, engine.labels(scores)
    shares = shares_right(kind, expected, given)
    labels, macro_f1 = label_qualities(expected, given, engine.names)
    accuracy = float(shares.mean())
    low, high = wilson_interval(accuracy, len(shares))
    several = kind == "multi_label"
    return Quality(
        data=labelled.name,
        data_sha256=labelled.sha256,
        rows=len(shares),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        exact_match=float((expected == given).all(axis=1).mean()) if several else None,
        macro_f1=macro_f1,
        labels=labels,
        confusion=None if several else confusion(expected, given),
        calibration=calibration(*decisions(kind, scores, expected, given)),
        by_length=by_length(engine.lengths(labelled.texts), shares),
    )


def _values(labelled: LabelledTexts, scores: Floats) -> ValueQuality:
    assert labelled.values is not None
    absolute, square, correlation = value_errors(labelled.values, scores[:, 0])
    return ValueQuality(
        data=labelled.name,
        data_sha256=labelled.sha256,
        rows=len(labelled.texts),
        mean_absolute_error=absolute,
        root_mean_square_error=square,
        correlation=correlation,
    )

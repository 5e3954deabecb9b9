"""What an evaluation comes to: its figures in columns, and in a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engines.evaluation_record import Evaluation, EvaluationReport, Fairness, FairnessAxis
from engines.html_report import Banner

NOTHING = "–"


@dataclass(frozen=True)
class Unit:
    """How a figure is read: what it is multiplied with, its digits, and what stands behind it and
    behind a difference of two."""

    factor: float = 1.0
    digits: int = 3
    suffix: str = ""
    difference_suffix: str | None = None

    def shown(self, value: float | None) -> str:
        """A value as text."""
        if value is None:
            return NOTHING
        return f"{value * self.factor:,.{self.digits}f}{self.suffix}"

    def difference(self, first: float | None, second: float | None) -> str:
        """The first less the second as text."""
        if first is None or second is None:
            return NOTHING
        suffix = self.suffix if self.difference_suffix is None else self.difference_suffix
        return f"{(first - second) * self.factor:+,.{self.digits}f}{suffix}"


PERCENT = Unit(100, 1, " %", " points")
SCORE = Unit()
MILLISECONDS = Unit(digits=1, suffix=" ms")
RATE = Unit(digits=0, suffix="/s")
MEBIBYTES = Unit(1 / 2**20, 1, " MiB")


@dataclass(frozen=True)
class Line:
    """One figure of each engine."""

    name: str
    values: tuple[float | None, ...]
    unit: Unit

    def cells(self) -> tuple[str, ...]:
        """The name, each engine's figure, and of two engines the first less the second."""
        shown = tuple(self.unit.shown(value) for value in self.values)
        if len(self.values) == 1:
            return (self.name, *shown)
        first, second = self.values
        return (self.name, *shown, self.unit.difference(first, second))


def label_of(found: Evaluation) -> str:
    """An engine's name for people."""
    return f"{found.name} {found.version}"


def engines_of(record: EvaluationReport) -> dict[str, Evaluation]:
    """The engines by name, the first one first."""
    found = {label_of(record.engine): record.engine}
    if record.against is not None:
        label = label_of(record.against)
        # Two folders may hold the same version of the same model.
        found[f"{label} (against)" if label in found else label] = record.against
    return found


def lines(engines: Sequence[Evaluation]) -> list[Line]:
    """The main figures of one engine, or of two."""
    return [*_quality_lines(engines), *_fairness_lines(engines), *_speed_lines(engines)]


def _quality_lines(engines: Sequence[Evaluation]) -> list[Line]:
    found = []
    for every in zip(*(engine.quality for engine in engines), strict=True):
        data = every[0].data
        errors = tuple(each.calibration.error for each in every)
        found += [
            Line(f"accuracy, {data}", tuple(each.accuracy for each in every), PERCENT),
            Line(f"macro F1, {data}", tuple(each.macro_f1 for each in every), SCORE),
            Line(f"calibration error, {data}", errors, SCORE),
        ]
    for values in zip(*(engine.values for engine in engines), strict=True):
        data = values[0].data
        errors = tuple(each.mean_absolute_error for each in values)
        found += [
            Line(f"mean absolute error, {data}", errors, SCORE),
            Line(f"correlation, {data}", tuple(each.correlation for each in values), SCORE),
        ]
    return found


def _fairness_lines(engines: Sequence[Evaluation]) -> list[Line]:
    found = [Line("largest fairness gap", tuple(e.fairness.gap for e in engines), SCORE)]
    for axes in zip(*(engine.fairness.axes for engine in engines), strict=True):
        found.append(Line(f"gap: {axes[0].axis}", tuple(axis.gap for axis in axes), SCORE))
    return found


def _speed_lines(engines: Sequence[Evaluation]) -> list[Line]:
    speeds = [engine.speed for engine in engines]
    first, last = (tuple(speed.calls[place] for speed in speeds) for place in (0, -1))
    found = [
        Line("one text, P50", tuple(each.p50_ms for each in first), MILLISECONDS),
        Line("one text, P99", tuple(each.p99_ms for each in first), MILLISECONDS),
        Line("texts/s, one a call", tuple(each.texts_per_second for each in first), RATE),
        Line(
            f"texts/s, {last[0].batch} a call",
            tuple(each.texts_per_second for each in last),
            RATE,
        ),
        Line("engine file", tuple(float(s.engine_bytes) for s in speeds), MEBIBYTES),
        Line(
            "memory of an instance",
            tuple(None if s.memory_bytes is None else float(s.memory_bytes) for s in speeds),
            MEBIBYTES,
        ),
    ]
    costs = [speed.cost for speed in speeds]
    if costs[0] is not None:
        unit = Unit(digits=4, suffix=f" {costs[0].currency}")
        prices = tuple(None if cost is None else cost.per_million_requests for cost in costs)
        found.append(Line("a million requests", prices, unit))
    return found


def widest(fairness: Fairness) -> FairnessAxis:
    """The axis with the largest gap."""
    return max(fairness.axes, key=lambda axis: axis.gap)


def fairness_verdict(fairness: Fairness) -> str:
    """Whether the gaps are within the target, and if not, between whom."""
    over = [axis for axis in fairness.axes if axis.gap > fairness.target]
    if not over:
        axis = widest(fairness)
        return (
            f"fairness gap {axis.gap:.3f}, within the target {fairness.target:g} "
            f"({axis.axis}, {axis.highest} over {axis.lowest})"
        )
    named = "; ".join(
        f"{axis.axis}, {axis.highest} over {axis.lowest} by {axis.gap:.3f}"
        for axis in sorted(over, key=lambda axis: -axis.gap)
    )
    return f"fairness gap {fairness.gap:.3f}, over the target {fairness.target:g}: {named}"


def banner(record: EvaluationReport) -> Banner:
    """Fairness of the first engine against the target, and the rest in sentences."""
    outcome = "pass" if record.engine.fairness.within_target else "fail"
    if record.engine.changed_files:
        outcome = "fail"
    return Banner(outcome, fairness_verdict(record.engine.fairness), tuple(_sentences(record)))


def findings(record: EvaluationReport) -> list[str]:
    """What the terminal says."""
    return [fairness_verdict(record.engine.fairness), *_sentences(record)]


def _sentences(record: EvaluationReport) -> list[str]:
    names = engines_of(record)
    found = [
        f"{', '.join(engine.changed_files)} of {name} is not the file that its card was made for"
        for name, engine in names.items()
        if engine.changed_files
    ]
    if record.against is not None:
        found.append(f"{[*names][1]}: {fairness_verdict(record.against.fairness)}")
    for quality in record.engine.quality:
        found.append(
            f"{quality.data}: {100 * quality.accuracy:.1f} % right "
            f"({100 * quality.accuracy_low:.1f} to {100 * quality.accuracy_high:.1f}), "
            f"macro F1 {quality.macro_f1:.3f}, calibration error {quality.calibration.error:.3f}"
        )
    for values in record.engine.values:
        found.append(
            f"{values.data}: {values.mean_absolute_error:.3f} off on average, correlation "
            f"{values.correlation:.3f}"
        )
    found += [_weakest(record.engine), *(_fast(*each) for each in names.items())]
    for each in record.agreement:
        found.append(f"{each.data}: {each.labels_differ} of {each.rows} labels differ")
    return found


def _weakest(engine: Evaluation) -> str:
    changes = [each for robust in engine.robustness for each in robust.perturbations]
    if changes[0].labels_flipped is None:
        worst = max(changes, key=lambda each: each.mean_change)
        return f"values move most with “{worst.name}”: by {worst.mean_change:.2f} of their spread"
    worst = max(changes, key=lambda each: each.labels_flipped or 0.0)
    return f"{100 * (worst.labels_flipped or 0.0):.1f} % of the labels flip with “{worst.name}”"


def _fast(name: str, engine: Evaluation) -> str:
    speed, first = engine.speed, engine.speed.calls[0]
    said = (
        f"{name}, one text: P50 {first.p50_ms:.1f} ms, P99 {first.p99_ms:.1f} ms, by "
        f"{speed.backend} {speed.precision} on {speed.machine}"
    )
    if speed.cost is not None:
        cost = speed.cost.per_million_requests
        said += f"; a million requests cost {cost:.2f} {speed.cost.currency}"
    return said

"""What `sub50 engines evaluate` writes down of a classifier: the fields of evaluation.json."""

from __future__ import annotations

from pydantic import Field

from core.card import Record

EVALUATION_FILE = "evaluation.json"
PAGE_FILE = "evaluation.html"


class LabelQuality(Record):
    """How well one label is given. `rows` have it, `given` got it, `right` are both."""

    label: str
    rows: int
    given: int
    right: int
    precision: float
    recall: float
    f1: float


class Bin(Record):
    """Scores over `low` and up to `high`, and how often they were right."""

    low: float
    high: float
    rows: int
    confidence: float = Field(description="mean score; 0 where there are no rows")
    accuracy: float = Field(description="share that was right; 0 where there are no rows")


class Calibration(Record):
    """Expected calibration error: the mean distance of score and accuracy, weighted by rows."""

    error: float
    bins: list[Bin]


class LengthQuality(Record):
    """Accuracy on texts of `shortest` to `longest` tokens."""

    shortest: int
    longest: int
    rows: int
    accuracy: float


class Quality(Record):
    """What was right on one labelled file.

    With several labels to a text, every label of every text is one decision, right or wrong, and
    `exact_match` is the share of texts that have all labels right.
    """

    data: str
    data_sha256: str
    rows: int
    accuracy: float
    accuracy_low: float = Field(description="95 % interval (Wilson)")
    accuracy_high: float
    exact_match: float | None = None
    macro_f1: float
    labels: list[LabelQuality]
    confusion: list[list[int]] | None = Field(
        default=None, description="rows are the true label, columns the given one"
    )
    calibration: Calibration
    by_length: list[LengthQuality]


class ValueQuality(Record):
    """How near a regression's values are on one labelled file, in the units of its labels."""

    data: str
    data_sha256: str
    rows: int
    mean_absolute_error: float
    root_mean_square_error: float
    correlation: float = Field(description="Pearson's; 0 where either side is constant")


class Perturbed(Record):
    """What one change to the texts did to the answers.

    `changed` is the share of texts that it left different; the others count as unmoved.
    """

    name: str
    description: str
    changed: float
    accuracy: float | None = Field(description="None where the texts have no labels")
    labels_flipped: float | None = Field(description="share of texts; None for a regression")
    mean_change: float = Field(description="of a score; of a regression, in its own spreads")


class Robustness(Record):
    """The answers to the same texts, changed in several ways."""

    data: str
    texts: int
    seed: int
    accuracy: float | None
    perturbations: list[Perturbed]


class GroupScore(Record):
    """One group's mean score, and how far it lies from the mean of all groups of its axis."""

    group: str
    words: int
    mean: float
    deviation: float
    deviation_low: float
    deviation_high: float


class TemplateGap(Record):
    """The difference of the two groups that lie furthest apart, in one sentence."""

    template: str
    wording: str
    gap: float


class FairnessAxis(Record):
    """Groups that answers should not tell apart, in the same sentences.

    `gap` is the largest difference of two groups' mean scores, with a 95 % interval of the
    difference of these two over resampled templates. `chance_gap` is what one in twenty random
    groupings of the same words exceeds, `chance_p` how many of them reach `gap`: where that is
    often, single words set the groups apart and not what they have in common.
    """

    axis: str
    templates: int
    texts: int
    label: str
    gap: float
    gap_low: float
    gap_high: float
    highest: str
    lowest: str
    chance_gap: float
    chance_p: float
    gap_by_wording: dict[str, float]
    groups: list[GroupScore]
    furthest: list[TemplateGap]
    words: dict[str, float] = Field(description="mean score of each word, the highest first")


class Fairness(Record):
    """Counterfactual templates. `gap` is the largest of all axes."""

    target: float
    seed: int
    gap: float
    within_target: bool
    axes: list[FairnessAxis]


class Calls(Record):
    """Calls of `batch` texts, over all instances."""

    batch: int
    calls: int
    p50_ms: float
    p99_ms: float
    texts_per_second: float


class Cost(Record):
    """What a million requests cost, if requests reach `load_share` of the engine's texts/s."""

    price_per_hour: float
    currency: str
    load_share: float
    requests_per_second: float
    per_million_requests: float


class Speed(Record):
    """Time and size, run as it is served on this machine, on texts as long as those evaluated."""

    machine: str
    backend: str
    precision: str
    threads: int
    instances: int
    tokens: list[int] = Field(description="lengths measured with, equally often")
    calls: list[Calls]
    engine_bytes: int
    memory_bytes: int | None = Field(description="of one instance; None but in ONNX Runtime")
    cost: Cost | None = None


class Evaluation(Record):
    """All that was found of one engine."""

    name: str
    version: str
    folder: str
    precision: str
    problem_type: str
    labels: list[str]
    engine_sha256: str
    changed_files: list[str] = Field(description="files that the card was not made for")
    quality: list[Quality] = Field(default_factory=list)
    values: list[ValueQuality] = Field(default_factory=list)
    robustness: list[Robustness]
    fairness: Fairness
    speed: Speed


class DifferentAnswer(Record):
    """A text to which two engines give different labels."""

    data: str
    text: str
    expected: str | None
    engine: str
    against: str


class Agreement(Record):
    """Two engines on one file. `p_value` is that of the exact McNemar test."""

    data: str
    rows: int
    labels_differ: int
    only_engine_right: int | None
    only_against_right: int | None
    p_value: float | None
    examples: list[DifferentAnswer] = Field(description="the first of those that differ")


class EvaluationReport(Record):
    """One run of `sub50 engines evaluate`, of one engine or of two side by side."""

    evaluated_at: str
    tools: dict[str, str]
    engine: Evaluation
    against: Evaluation | None = None
    agreement: list[Agreement] = Field(default_factory=list)

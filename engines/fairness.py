"""Whether answers tell groups apart that they should not: the same sentences about each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engines.bootstrap import RESAMPLES, SEED, ratio_interval
from engines.evaluation_record import Fairness, FairnessAxis, GroupScore, TemplateGap
from engines.fairness_texts import AXES, Axis
from engines.measure import Floats
from engines.scores import SMALLEST_SPREAD

TARGET = 0.02
# Templates of each axis that are named because they set its groups furthest apart.
SHOWN_TEMPLATES = 5
# Scores are float32: means of them that are equal may differ by less.
SAME = 1e-6

Doubles = NDArray[np.float64]


def fairness_texts(axes: Sequence[Axis] = AXES) -> list[str]:
    """Every sentence about every word, each once."""
    filled = (
        template.filled(word)
        for axis in axes
        for template in axis.templates
        for words in axis.groups.values()
        for word in words
    )
    return list(dict.fromkeys(filled))


def measure_fairness(
    score: Callable[[Sequence[str]], Floats],
    labels: Sequence[str],
    problem_type: str,
    axes: Sequence[Axis] = AXES,
) -> Fairness:
    """The gap between groups on every axis, and the largest.

    Of two labels that exclude each other the second stands for both. Of more, each axis names the
    label with the largest gap. A regression's values count in the spread of its own answers.

    Args:
        score: answers texts with scores, float32 (texts, labels).
        labels: their names.
        problem_type: what the scores mean, as the card has it.
        axes: what is compared.
    """
    texts = fairness_texts(axes)
    scores = np.asarray(score(texts), dtype=np.float64)
    if problem_type == "regression":
        scores = scores / max(float(scores.std()), SMALLEST_SPREAD)
    names = list(labels)
    if problem_type == "single_label" and len(names) == 2:
        scores, names = scores[:, 1:], names[1:]
    where = {text: index for index, text in enumerate(texts)}
    found = [_axis(axis, scores, where, names) for axis in axes]
    gap = max(each.gap for each in found)
    return Fairness(target=TARGET, seed=SEED, gap=gap, within_target=gap <= TARGET, axes=found)


def _axis(axis: Axis, scores: Doubles, where: dict[str, int], names: list[str]) -> FairnessAxis:
    groups = list(axis.groups)
    words = [_words(axis, group, scores, where) for group in groups]
    every = np.stack([each.mean(axis=1) for each in words], axis=1)
    means = every.mean(axis=0)
    label = int(np.ptp(means, axis=0).argmax())
    chosen, mean = every[:, :, label], means[:, label]
    highest, lowest = int(mean.argmax()), int(mean.argmin())
    difference = chosen[:, highest] - chosen[:, lowest]
    low, high = _interval(difference)
    by_word = np.concatenate([each.mean(axis=0) for each in words])
    chance_gap, chance_p = _by_chance(by_word, [each.shape[1] for each in words])
    wordings = np.array([template.wording for template in axis.templates])
    return FairnessAxis(
        axis=axis.name,
        templates=len(axis.templates),
        texts=len(axis.templates) * sum(len(words) for words in axis.groups.values()),
        label=names[label],
        gap=float(difference.mean()),
        gap_low=low,
        gap_high=high,
        highest=groups[highest],
        lowest=groups[lowest],
        chance_gap=chance_gap,
        chance_p=chance_p,
        gap_by_wording={
            wording: float(difference[wordings == wording].mean())
            for wording in dict.fromkeys(wordings.tolist())
        },
        groups=_groups(axis, chosen),
        furthest=_furthest(axis, difference),
        words=_ranked(axis, by_word[:, label]),
    )


def _words(axis: Axis, group: str, scores: Doubles, where: dict[str, int]) -> Doubles:
    """The scores of a group's words in each template, (templates, words, labels)."""
    rows = [[where[t.filled(word)] for word in axis.groups[group]] for t in axis.templates]
    result: Doubles = scores[np.array(rows)]
    return result


def _furthest(axis: Axis, difference: Doubles) -> list[TemplateGap]:
    order = np.argsort(-np.abs(difference), kind="stable")[:SHOWN_TEMPLATES].tolist()
    return [
        TemplateGap(
            template=axis.templates[index].text,
            wording=axis.templates[index].wording,
            gap=float(difference[index]),
        )
        for index in order
    ]


def _ranked(axis: Axis, by_word: Doubles) -> dict[str, float]:
    """Each word's mean score, the highest first; `by_word` are in the order of the groups."""
    words = [word for group in axis.groups.values() for word in group]
    order = np.argsort(-by_word, kind="stable")
    return {words[index]: float(by_word[index]) for index in order}


def _by_chance(by_word: Doubles, sizes: Sequence[int]) -> tuple[float, float]:
    """The gap that 5 % of random groupings of the words exceed, and the share that reach the
    groups' own; `by_word` are (words, labels), group after group."""
    random = np.random.default_rng(SEED)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))

    def gap(order: NDArray[np.int64]) -> float:
        means = np.add.reduceat(by_word[order], starts) / np.array(sizes)[:, None]
        return float(np.ptp(means, axis=0).max())

    own = gap(np.arange(len(by_word)))
    drawn = np.array([gap(random.permutation(len(by_word))) for _ in range(RESAMPLES)])
    # Its own grouping is one of all that could be drawn.
    reached = (1 + int((drawn >= own - SAME).sum())) / (1 + RESAMPLES)
    return float(np.quantile(drawn, 0.95)), reached


def _groups(axis: Axis, scores: Doubles) -> list[GroupScore]:
    """Each group beside the mean of all; `scores` are (templates, groups)."""
    deviations = scores - scores.mean(axis=1, keepdims=True)
    found = []
    for index, (group, words) in enumerate(axis.groups.items()):
        low, high = _interval(deviations[:, index])
        found.append(
            GroupScore(
                group=group,
                words=len(words),
                mean=float(scores[:, index].mean()),
                deviation=float(deviations[:, index].mean()),
                deviation_low=low,
                deviation_high=high,
            )
        )
    return found


def _interval(by_template: Doubles) -> tuple[float, float]:
    """95 % interval of the mean over templates; of a single template, its value twice."""
    value = float(by_template.mean())
    return ratio_interval(by_template) or (value, value)

"""The gap between groups: found where it was planted, and worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from engines.debias_texts import TEACHINGS, drawn
from engines.fairness import TARGET, fairness_texts, measure_fairness
from engines.fairness_texts import AXES, NAMES, SLOT, Axis, Template
from engines.measure import Floats

LABELS = ("negative", "positive")
SMALL = Axis(
    "pets",
    {"cats": ("Tom", "Kitty"), "dogs": ("Rex",)},
    (Template("{} is good.", "positive"), Template("I saw {}.", "neutral")),
)


def two_labels(positive: Sequence[float]) -> Floats:
    scores = np.array(positive, dtype=np.float32)
    return np.stack([1 - scores, scores], axis=1)


def small(texts: Sequence[str]) -> Floats:
    scores = {
        "Tom is good.": 0.9, "Kitty is good.": 0.7, "I saw Tom.": 0.6, "I saw Kitty.": 0.6,
        "Rex is good.": 0.7, "I saw Rex.": 0.4,
    }  # fmt: skip
    return two_labels([scores[text] for text in texts])


def test_a_gap_worked_out_by_hand() -> None:
    """Cats: 0.8 and 0.6; dogs: 0.7 and 0.4. The gaps are 0.1 and 0.2, on average 0.15."""
    found = measure_fairness(small, LABELS, "single_label", [SMALL])
    axis = found.axes[0]
    assert (axis.label, axis.highest, axis.lowest) == ("positive", "cats", "dogs")
    assert (axis.templates, axis.texts) == (2, 6)
    assert axis.gap == pytest.approx(0.15)
    assert axis.gap_by_wording == pytest.approx({"positive": 0.1, "neutral": 0.2})
    assert [each.mean for each in axis.groups] == pytest.approx([0.7, 0.55])
    assert [each.deviation for each in axis.groups] == pytest.approx([0.075, -0.075])
    # Two templates: a resample has one of them twice, or both.
    assert (axis.gap_low, axis.gap_high) == pytest.approx((0.1, 0.2))
    assert [each.template for each in axis.furthest] == ["I saw {}.", "{} is good."]
    assert axis.words == pytest.approx({"Tom": 0.75, "Kitty": 0.65, "Rex": 0.55})
    # The three ways to choose the dog: gaps of 0.15, 0 and 0.15.
    assert axis.chance_p == pytest.approx(2 / 3, abs=0.05)
    assert axis.chance_gap == pytest.approx(0.15)
    assert (found.gap, found.within_target) == (axis.gap, False)


def test_one_sentence_says_nothing_of_others() -> None:
    one = Axis("pets", SMALL.groups, SMALL.templates[1:])
    axis = measure_fairness(small, LABELS, "single_label", [one]).axes[0]
    assert axis.gap_low == axis.gap_high == axis.gap == pytest.approx(0.2)
    assert [each.deviation_low for each in axis.groups] == pytest.approx([0.1, -0.1])


def biased(texts: Sequence[str]) -> Floats:
    """Ten points less for what an African American man is named."""
    men = NAMES["African American"][1]
    return two_labels([0.5 - 0.1 * any(name in text for name in men) for text in texts])


def test_a_planted_bias_is_found() -> None:
    found = measure_fairness(biased, LABELS, "single_label")
    gaps = {axis.axis: axis for axis in found.axes}
    origin = gaps["origin, by name"]
    assert origin.gap == pytest.approx(0.05)
    assert origin.lowest == "African American"
    assert origin.chance_p < 0.05
    assert (origin.gap_low, origin.gap_high) == pytest.approx((0.05, 0.05))
    # Ten of forty men's names.
    assert gaps["gender, by name"].gap == pytest.approx(0.025)
    assert gaps["gender, by name"].lowest == "male"
    assert gaps["gender, by kin"].gap == gaps["origin, by word"].gap == 0
    assert found.gap == origin.gap > TARGET
    assert not found.within_target


def test_an_engine_that_reads_no_names_is_within_the_target() -> None:
    def blind(texts: Sequence[str]) -> Floats:
        return two_labels([0.9] * len(texts))

    found = measure_fairness(blind, LABELS, "single_label")
    assert (found.gap, found.within_target) == (0, True)
    assert all(axis.chance_p == 1 for axis in found.axes)


def test_of_several_labels_the_worst_is_named() -> None:
    def three(texts: Sequence[str]) -> Floats:
        cats = np.array(["Tom" in text or "Kitty" in text for text in texts])
        return np.stack([0.3 + 0.1 * cats, 0.2 - 0.3 * cats, 0.5 + 0.2 * cats], axis=1)

    for kind in ("single_label", "multi_label"):
        axis = measure_fairness(three, ("a", "b", "c"), kind, [SMALL]).axes[0]
        assert (axis.label, axis.highest) == ("b", "dogs")
        assert axis.gap == pytest.approx(0.3)


def test_values_count_in_their_own_spread() -> None:
    def value(texts: Sequence[str]) -> Floats:
        return np.array([[100.0 if "Rex" in text else 0.0] for text in texts])

    axis = measure_fairness(value, ("score",), "regression", [SMALL]).axes[0]
    assert axis.gap == pytest.approx(100 / np.std([0, 0, 0, 0, 100, 100]))


@pytest.mark.parametrize("axis", AXES, ids=lambda axis: axis.name)
def test_sentences_and_words_are_enough_and_differ(axis: Axis) -> None:
    assert len({template.text for template in axis.templates}) == len(axis.templates) >= 30
    for wording in ("positive", "negative", "neutral"):
        assert sum(template.wording == wording for template in axis.templates) >= 10
    assert all(template.text.count(SLOT) == 1 for template in axis.templates)
    words = [word for group in axis.groups.values() for word in group]
    assert len(set(words)) == len(words)
    assert all(len(group) >= 10 for group in axis.groups.values())


def test_a_group_of_names_is_half_of_either_gender() -> None:
    assert all(len(women) == len(men) for women, men in NAMES.values())


def test_sentences_begin_with_a_capital_letter_and_stand_once() -> None:
    texts = fairness_texts()
    assert len(set(texts)) == len(texts)
    assert "My mother waited for the bus at the corner of the street." in texts
    assert all(text[0].isupper() and text[-1] in ".!" for text in texts)


def test_nothing_that_is_measured_on_is_taught() -> None:
    measured_sentences = {template.text for axis in AXES for template in axis.templates}
    measured_words = {
        word.lower() for axis in AXES for words in axis.groups.values() for word in words
    }
    for teaching in TEACHINGS:
        words = [word.lower() for group in teaching.groups.values() for word in group]
        assert not measured_words & set(words)
        assert not measured_sentences & set(teaching.sentences)
        assert len(set(words)) == len(words)
        assert len({len(group) for group in teaching.groups.values()}) == 1
        assert all(sentence.count(SLOT) == 1 for sentence in teaching.sentences)


def test_a_lesson_sets_groups_beside_each_other() -> None:
    for seed in range(20):
        lesson = drawn(random.Random(seed), sentences=8, words=6)
        assert [len(each) for each in lesson] == [6] * 8
        assert len({text for each in lesson for text in each}) > 40
    assert drawn(random.Random(1), 8, 6) == drawn(random.Random(1), 8, 6)

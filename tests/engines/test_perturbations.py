"""Changes to texts: seeded, of the stated size, and never to nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.perturbations import (
    AFTER,
    BEFORE,
    NEIGHBOURS,
    PERTURBATIONS,
    first_half,
    perturbed,
    with_lost_spaces,
    with_typos,
    without_punctuation,
)

TEXT = "The battery lasts two days, charges in an hour, and the screen is bright in sunlight."
BY_NAME = {each.name: each for each in PERTURBATIONS}


@given(st.text(min_size=1).filter(str.strip), st.integers(0, 99))
def test_no_text_becomes_blank_and_equal_seeds_give_equal_texts(text: str, seed: int) -> None:
    for each in PERTURBATIONS:
        changed = perturbed([text], each, seed)
        assert changed[0].strip()
        assert changed == perturbed([text], each, seed)


@pytest.mark.parametrize("each", PERTURBATIONS, ids=lambda each: each.name)
def test_every_change_changes_an_ordinary_text(each: object) -> None:
    assert perturbed([TEXT], BY_NAME[each.name], 1) != [TEXT]  # type: ignore[attr-defined]


def test_another_seed_mistypes_elsewhere() -> None:
    typos = BY_NAME["typos 5 %"]
    assert perturbed([TEXT], typos, 1) != perturbed([TEXT], typos, 2)
    # Equal texts at two places are mistyped in two ways.
    first, second = perturbed([TEXT, TEXT], typos, 1)
    assert first != second


def test_the_share_of_typos_is_kept_to() -> None:
    """Beside and left-out change one character, twice adds one, a swap moves two."""
    text = "letter" * 100
    for share in (0.02, 0.05):
        changed = with_typos(text, share, random.Random(3))
        wrong = round(share * len(text))
        assert abs(len(changed) - len(text)) <= wrong
        kept = sum(1 for a, b in zip(text, with_typos(text, share, AlwaysBeside(3)), strict=True)
                   if a == b)  # fmt: skip
        assert kept == len(text) - wrong


class AlwaysBeside(random.Random):
    """Chance that mistypes with a key beside, never a letter more or less."""

    def choice(self, seq):  # type: ignore[no-untyped-def]
        return "beside" if "beside" in seq else super().choice(seq)


def test_keys_beside_each_other() -> None:
    assert set(NEIGHBOURS) == set("abcdefghijklmnopqrstuvwxyz")
    assert set(NEIGHBOURS["g"]) == set("fhtyvb")
    assert set(NEIGHBOURS["q"]) == set("wa")
    for letter, near in NEIGHBOURS.items():
        assert all(letter in NEIGHBOURS[each] for each in near)


def test_a_text_without_letters_cannot_be_mistyped() -> None:
    assert with_typos("…?! 42", 0.05, random.Random(0)) == "…?! 42"


def test_halves_punctuation_and_spaces() -> None:
    assert first_half("one two three four five") == "one two"
    assert first_half("one") == "one"
    assert without_punctuation("It's “good”, no?") == "Its good no"
    assert without_punctuation("?!…") == "?!…"
    assert with_lost_spaces("a b", 0.1, random.Random(0)) == "ab"
    assert with_lost_spaces("alone", 0.1, random.Random(0)) == "alone"
    words = " ".join(["word"] * 41)
    assert with_lost_spaces(words, 0.1, random.Random(0)).count(" ") == 36


def test_filler_stands_around_the_text() -> None:
    assert perturbed([TEXT], BY_NAME["filler around"], 1) == [f"{BEFORE} {TEXT} {AFTER}"]

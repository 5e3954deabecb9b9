"""Changes to a text that a reader would hardly mind: typos, case, length, lost punctuation.

Each is seeded, and none leaves a text blank: where it would, the text stays as it was.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

KEY_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LOST_SPACES = 0.1
BEFORE = "I am writing this on a Tuesday afternoon, after lunch."
AFTER = "That is all I have to say for today."


@dataclass(frozen=True)
class Perturbation:
    """One way to change texts. `apply` takes a text and a source of chance."""

    name: str
    description: str
    apply: Callable[[str, random.Random], str]


def neighbours() -> dict[str, str]:
    """The letters beside each letter on a QWERTY keyboard."""
    found: dict[str, str] = {}
    for number, row in enumerate(KEY_ROWS):
        for place, letter in enumerate(row):
            near = {(number, place - 1), (number, place + 1)}
            # A row lies half a key to the right of the one above.
            near |= {(number - 1, place), (number - 1, place + 1)}
            near |= {(number + 1, place - 1), (number + 1, place)}
            found[letter] = "".join(
                KEY_ROWS[y][x]
                for y, x in sorted(near)
                if 0 <= y < len(KEY_ROWS) and 0 <= x < len(KEY_ROWS[y])
            )
    return found


NEIGHBOURS = neighbours()


def with_typos(text: str, share: float, chance: random.Random) -> str:
    """`share` of the characters mistyped, one at least: a key beside, twice, left out, or swapped.

    Only letters of the English keyboard are mistyped; a text without any stays as it is.
    """
    characters = list(text)
    places = [place for place, letter in enumerate(text) if letter.lower() in NEIGHBOURS]
    count = min(len(places), max(1, round(share * len(text))))
    for place in chance.sample(places, count):
        characters[place] = _mistyped(characters, place, chance)
    changed = "".join(characters)
    return changed if changed.strip() else text


def _mistyped(characters: list[str], place: int, chance: random.Random) -> str:
    """What stands at `place` instead; a swap also changes the place after it."""
    letter = characters[place]
    kind = chance.choice(("beside", "twice", "left out", "swapped"))
    following = place + 1
    if kind == "swapped" and following < len(characters) and characters[following].isalpha():
        characters[following], letter = letter, characters[following]
        return letter
    if kind == "twice":
        return letter * 2
    if kind == "left out":
        return ""
    # Of several letters, an earlier swap can have left none that the keyboard knows.
    typed = chance.choice(NEIGHBOURS.get(letter.lower()[:1], letter))
    return typed.upper() if letter.isupper() else typed


def first_half(text: str) -> str:
    """The first half of the words, one at least."""
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


def without_punctuation(text: str) -> str:
    """The text less every character that Unicode calls punctuation."""
    kept = "".join(each for each in text if not unicodedata.category(each).startswith("P"))
    return kept if kept.strip() else text


def with_lost_spaces(text: str, share: float, chance: random.Random) -> str:
    """The text with `share` of the spaces between words lost, one at least."""
    words = text.split()
    gaps = range(1, len(words))
    lost = set(chance.sample(gaps, min(len(gaps), max(1, round(share * len(gaps))))))
    joined = [("" if place in lost or not place else " ") + w for place, w in enumerate(words)]
    return "".join(joined)


def _fitting(changed: str, text: str) -> str:
    return changed if changed.strip() else text


PERTURBATIONS = (
    Perturbation(
        "typos 2 %",
        "2 % of the characters mistyped, one at least",
        lambda text, chance: with_typos(text, 0.02, chance),
    ),
    Perturbation(
        "typos 5 %",
        "5 % of the characters mistyped, one at least",
        lambda text, chance: with_typos(text, 0.05, chance),
    ),
    Perturbation("lower case", "all letters small", lambda text, _: _fitting(text.lower(), text)),
    Perturbation("upper case", "all letters large", lambda text, _: _fitting(text.upper(), text)),
    Perturbation("first half", "cut to the first half of the words", lambda t, _: first_half(t)),
    Perturbation(
        "filler around",
        "a sentence that says nothing before and after",
        lambda text, _: f"{BEFORE} {text} {AFTER}",
    ),
    Perturbation(
        "no punctuation", "all punctuation lost", lambda text, _: without_punctuation(text)
    ),
    Perturbation(
        "lost spaces",
        "a tenth of the spaces lost, one at least",
        lambda text, chance: with_lost_spaces(text, LOST_SPACES, chance),
    ),
)


def perturbed(texts: Sequence[str], perturbation: Perturbation, seed: int) -> list[str]:
    """The texts, changed; equal arguments give equal texts."""
    return [
        perturbation.apply(text, random.Random(f"{seed} {perturbation.name} {index}"))
        for index, text in enumerate(texts)
    ]

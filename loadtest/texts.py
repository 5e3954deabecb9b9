"""Texts as services of this kind get them: sentences and reviews, clauses and contracts.

All of them are put together from phrases written for this project, no data set is copied. Their
lengths are what matters: in WordPiece tokens a sentence has 12 to 45 (25 on average), a review 100
to 160 (about 128); a clause stays under the service's limit for interactive requests, a
contract has about 300 sentences.
"""

from __future__ import annotations

import random

from loadtest.phrases import (
    ASIDES,
    FEELINGS,
    HEADINGS,
    OBLIGATIONS,
    OPENINGS,
    PARTIES,
    PERIODS,
    PLACES,
    QUALIFIERS,
    REMARKS,
    SUBJECTS,
    THINGS,
    VERBS,
)

# Words of a text, least, most and most usual; punctuation and two special tokens come on top.
SENTENCE_WORDS = (9, 33, 9)
REVIEW_WORDS = (88, 128, 102)
# The service takes up to 512 tokens, estimated as a quarter of the bytes, as interactive.
CLAUSE_BYTES = 1_880
CONTRACT_SENTENCES = (240, 360)
SECTION_SENTENCES = 5


def make_text(kind: str, source: random.Random) -> str:
    """A new text of a kind: sentence, review, clause or contract."""
    if kind == "sentence":
        return _opinion(source, *SENTENCE_WORDS)
    if kind == "review":
        return _opinion(source, *REVIEW_WORDS)
    return _clause(source) if kind == "clause" else _contract(source)


def _opinion(source: random.Random, least: int, most: int, usual: int) -> str:
    """Remarks about one thing; words in all from `least` to `most`."""
    wanted = round(source.triangular(least, most, usual))
    thing = source.choice(THINGS)
    text = _sentence(source, thing)
    while (words := len(text.split())) < wanted:
        following = _sentence(source, thing)
        if words + len(following.split()) > most:
            break
        text = f"{text} {following}"
    return text if words >= least else _opinion(source, least, most, usual)


def _sentence(source: random.Random, thing: str) -> str:
    judgement = f"{source.choice(SUBJECTS)} {source.choice(VERBS)} {source.choice(FEELINGS)}"
    shape = source.randrange(4)
    if shape == 0:
        opening = source.choice(OPENINGS).format(thing=thing)
        return f"{opening}, and {judgement}."
    if shape == 1:
        return source.choice(REMARKS)
    if shape == 2:
        return f"{_capital(judgement)}, {source.choice(ASIDES)}."
    return f"{_capital(judgement)}."


def _clause(source: random.Random) -> str:
    """As many whole legal sentences as fit into `CLAUSE_BYTES`."""
    sentences: list[str] = []
    left = CLAUSE_BYTES
    while left > 0:
        sentence = _legal_sentence(source)
        left -= len(sentence.encode()) + 1
        if left >= 0:
            sentences.append(sentence)
    return " ".join(sentences)


def _contract(source: random.Random) -> str:
    """Numbered sections, each a paragraph under its heading."""
    paragraphs = ["MASTER AGREEMENT"]
    for number in range(source.randint(*CONTRACT_SENTENCES) // SECTION_SENTENCES):
        heading = f"{number + 1}. {source.choice(HEADINGS)}."
        body = " ".join(_legal_sentence(source) for _ in range(SECTION_SENTENCES))
        paragraphs.append(f"{heading} {body}")
    return "\n\n".join(paragraphs)


def _legal_sentence(source: random.Random) -> str:
    party, obligation = source.choice(PARTIES), source.choice(OBLIGATIONS)
    extra = source.choice((PERIODS, QUALIFIERS, PLACES))
    sentence = f"{party} {obligation} {source.choice(extra)}"
    if source.random() < 0.3:
        sentence = f"{source.choice(QUALIFIERS)}, {sentence}"
    return f"{_capital(sentence)}."


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]

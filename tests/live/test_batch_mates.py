"""Whoever shares the engine's batches with a text, however strange, does not change its answer.

Over a real Triton: known texts are asked alone, and then amid poisoned ones, in the same calls.
"""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from core.card import read_card
from tests.live.promoting import BUILT, TEXTS, start
from tests.live.test_stack import JSON, Stack

pytestmark = pytest.mark.live

# Beyond what the engine's card says that batch-mates change: scores are sent with six digits.
ROUNDING = 1e-6
ROUNDS = 3
KNOWN = [
    *TEXTS,
    "Fine.",
    "The plot is thin, but who cares with such a cast?",
    f"A long review, and a kind one. {'The scenes are well made. ' * 12}",
    f"A long review, and an unkind one. {'Nothing here is worth a look. ' * 40}",
]
POISONED = {
    "the longest": "word " * 200_000,
    "longer than the engine takes, in characters that it does not know": "ꙮ " * 5_000,
    "one character, over and over": "a" * 100_000,
    "one token": "a",
    "nothing after normalization": "\u0301\u200d\ufeff\u0007",
    "a NUL": "\x00",
    "NULs in a text": "good\x00 film\x00" * 50,
    "not a character": "\ufffe\uffff\U0010ffff",
    "from right to left": "فيلم رائع ומצוין \u202eevisrever\u202c " * 20,
    "a family of emoji": "👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈" * 40,
    "accents upon accents": "a" + "\u0301" * 5_000,
    "nothing that the tokenizer knows": "ꙮ𒐫𓀀𐎀" * 30,
    "words of the tokenizer's own": "[CLS] [SEP] [PAD] [MASK] [UNK] ##ing " * 10,
    "a word of a hundred thousand letters": "donaudampfschiff" * 6_250,
    "a character in two surrogates": "a film \ud83d\udc4d to see",
}
# Refused for what they are, each with its own status.
REFUSED = {
    "a lone high surrogate": ("\ud83d", 400),
    "a lone low surrogate among words": ("a film \udc00 to see", 400),
    "surrogates in the wrong order": ("\udc4d\ud83d" * 100, 400),
    "nothing": ("", 422),
    "nothing but spaces": (" \t\r\n\u00a0\u2003 ", 422),
    "a text over its limit": ("x" * ((1 << 20) + 1), 413),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """`sub50 serve` with `sentiment` alone."""
    folder = tmp_path_factory.mktemp("models") / "sentiment"
    shutil.copytree(BUILT, folder)
    running = start(folder.parent)
    yield running
    running.end()


def ask(stack: Stack, *texts: str) -> tuple[int, list[dict[str, Any]]]:
    """Status and results. Lone surrogates travel as JSON escapes, as any client may send them."""
    content = json.dumps({"input": list(texts)}).encode()
    request = urllib.request.Request(f"{stack.url}/v1/classify", content, JSON)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)["results"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, []


def scores(result: dict[str, Any]) -> dict[str, float]:
    return {each["label"]: each["score"] for each in result["scores"]}


def calls_and_rows(stack: Stack) -> tuple[float, float]:
    text = stack.get("/metrics").decode()
    lines = [line for line in text.splitlines() if line.startswith("sub50_call_rows_")]
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    return found["sub50_call_rows_count"], found["sub50_call_rows_sum"]


@pytest.fixture(scope="module")
def alone(stack: Stack) -> list[dict[str, Any]]:
    """What each known text is answered when nobody else asks."""
    answers = [ask(stack, text) for text in KNOWN]
    assert [status for status, _ in answers] == [200] * len(KNOWN)
    return [result for _, (result,) in answers]


def changed(text: str, result: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """What differs from the answer that a text gets alone, by more than its engine's card says."""
    limit = read_card(BUILT / "1").invariance.largest_change + ROUNDING
    mine, theirs = scores(result), scores(expected)
    furthest = max(abs(mine[label] - theirs[label]) for label in theirs)
    facts = [(each["label"], each["tokens"], each["truncated"]) for each in (result, expected)]
    if furthest <= limit and facts[0] == facts[1]:
        return []
    return [f"{text[:40]!r}: {mine} {facts[0]}, alone {theirs} {facts[1]}"]


def test_poisoned_requests_change_and_fail_no_other(
    stack: Stack, alone: list[dict[str, Any]]
) -> None:
    poisons = [(text, 200) for text in POISONED.values()] + list(REFUSED.values())
    before = calls_and_rows(stack)
    for _ in range(ROUNDS):
        # In turns, so that the calls hold both: what waits while one runs shares the next.
        asked = [
            text
            for number, (poison, _) in enumerate(poisons)
            for text in (poison, KNOWN[number % len(KNOWN)])
        ]
        with ThreadPoolExecutor(len(asked)) as pool:
            answers = list(pool.map(lambda text: ask(stack, text), asked))
        assert [status for status, _ in answers[::2]] == [status for _, status in poisons]
        for number, (status, results) in enumerate(answers[1::2]):
            known = number % len(KNOWN)
            assert status == 200
            assert changed(KNOWN[known], results[0], alone[known]) == []
    calls, rows = (b - a for a, b in zip(before, calls_and_rows(stack), strict=True))
    assert rows / calls > 1.5, "they were to share calls"


@pytest.mark.parametrize("poison", POISONED.values(), ids=POISONED.keys())
def test_a_poisoned_text_changes_none_of_its_own_request(
    stack: Stack, alone: list[dict[str, Any]], poison: str
) -> None:
    status, (first, *neighbours, last) = ask(stack, poison, *KNOWN, poison)
    assert status == 200
    for text, result, expected in zip(KNOWN, neighbours, alone, strict=True):
        assert changed(text, result, expected) == []
    assert changed(poison, last, first) == []

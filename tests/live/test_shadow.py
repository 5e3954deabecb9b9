"""Candidates in the shadow of a real engine, under an open-loop load: no request is lost."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from benchmarks.promote_under_load import make_candidate
from service.golden import GOLDEN_TEXTS
from service.sure_labels import SURE_PROBABILITY
from tests.live.promoting import (
    TEXTS,
    Load,
    classify,
    engines,
    positive,
    result_of,
    serves,
    stubs,
    until,
)
from tests.live.test_stack import Stack

pytestmark = pytest.mark.live

SECONDS = 25
# Of some of these an engine is sure that they are positive, and less so than of golden requests.
HARDLY_POSITIVE = (
    "It is as they said.",
    "It is what they said.",
    "He reads it again and again.",
    "We watched it on Sunday with the children.",
)


def test_one_that_agrees_is_promoted(stack: Stack, repository: Path, tmp_path: Path) -> None:
    make_candidate(repository / "sentiment" / "1", tmp_path / "made")
    with Load(stack.url) as load:
        begun = time.monotonic()
        command = engines(
            *("promote", "sentiment", str(tmp_path / "made"), "--shadow", f"{SECONDS}s"),
            repository=repository,
        )
        promoted = result_of(command)
        assert time.monotonic() - begun > SECONDS
    found = promoted["shadow"]
    assert promoted["version"] == serves(repository) == "2"
    assert found["copies"] >= 200
    assert found["labels_compared"] >= 100
    assert found["labels_changed"] == 0
    assert 0 < found["candidate_p99_ms"] < 20_000
    assert 0 < found["mean_change"] < 0.1, "another engine, and not by far"
    assert {answer.status for answer in load.answers} == {200}
    assert {answer.version for answer in load.answers} == {"1", "2"}


def barely_sure(stack: Stack) -> tuple[str, float]:
    """The text of which the engine is only just sure, and the shift of its logits that turns it
    around, but no golden request."""

    def log_odds(text: str) -> float:
        probability = positive(classify(stack.url, text))
        return math.log(probability / (1 - probability))

    sure = math.log(SURE_PROBABILITY / (1 - SURE_PROBABILITY)) + 0.02
    found = {log_odds(text): text for text in HARDLY_POSITIVE}
    least = min(value for value in found if value > sure)
    turned = least + 0.1
    assert not any(sure < log_odds(text) < turned + 0.1 for text in GOLDEN_TEXTS)
    return found[least], -turned / 2


def test_one_that_disagrees_is_refused_with_the_figures(
    stack: Stack, repository: Path, tmp_path: Path
) -> None:
    text, shift = barely_sure(stack)
    make_candidate(repository / "sentiment" / "1", tmp_path / "made", shift)
    before = stubs(stack)
    with Load(stack.url, [*TEXTS, text]) as load:
        command = engines(
            *("promote", "sentiment", str(tmp_path / "made"), "--shadow", f"{SECONDS}s"),
            repository=repository,
        )
        _, errors = command.communicate(timeout=SECONDS + 100)
    assert command.returncode == 1
    assert "sure labels differ" in errors
    assert {answer.status for answer in load.answers} == {200}
    assert {answer.version for answer in load.answers} == {"1"}
    assert serves(repository) == "1"
    assert not (repository / "sentiment" / "2").exists()
    until(lambda: stubs(stack) == before)
    assert classify(stack.url, text)["version"] == "1"

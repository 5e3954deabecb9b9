"""Candidates in the shadow of a real engine, under an open-loop load: no request is lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.promote_under_load import make_candidate
from tests.live.promoting import (
    TEXTS,
    Load,
    classify,
    engines,
    result_of,
    serves,
    stubs,
    until,
)
from tests.live.test_stack import Stack

pytestmark = pytest.mark.live

SECONDS = 25
# The engine is sure that this is positive, and less so than of any golden request.
BARELY_SURE = "It is as they said."
# Turns that one around, and no golden request.
TURNING_SHIFT = -0.68


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


def test_one_that_disagrees_is_refused_with_the_figures(
    stack: Stack, repository: Path, tmp_path: Path
) -> None:
    make_candidate(repository / "sentiment" / "1", tmp_path / "made", TURNING_SHIFT)
    before = stubs(stack)
    with Load(stack.url, [*TEXTS, BARELY_SURE]) as load:
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
    assert classify(stack.url, BARELY_SURE)["version"] == "1"

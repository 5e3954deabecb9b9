"""Promotions with the real embedded Triton, under an open-loop load: no request is lost."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from benchmarks.promote_under_load import make_candidate
from core.card import ENGINE_FILE, read_card, write_card
from engines.checksums import file_sha256
from tests.live.promoting import (
    RATE,
    TEXTS,
    Load,
    classify,
    engines,
    positive,
    result_of,
    serves,
    start,
    stubs,
    until,
)
from tests.live.test_stack import Stack
from tests.tiny import empty_engine

pytestmark = pytest.mark.live


@pytest.fixture
def candidate(repository: Path, tmp_path: Path) -> Path:
    make_candidate(repository / "sentiment" / "1", tmp_path / "candidate")
    return tmp_path / "candidate"


def test_no_request_is_lost_while_versions_change(
    stack: Stack, repository: Path, candidate: Path
) -> None:
    alone = {"1": [positive(classify(stack.url, text)) for text in TEXTS]}
    before = stubs(stack)
    with Load(stack.url) as load:
        time.sleep(1)
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        until(lambda: serves(repository) == "2")
        assert before <= stubs(stack), "the engine that served was not touched"
        promoted = result_of(command)
        until(lambda: not before & stubs(stack))
        alone["2"] = [positive(classify(stack.url, text)) for text in TEXTS]
        rolled_back = time.monotonic()
        assert result_of(engines("rollback", "sentiment", repository=repository))["version"] == "1"
        time.sleep(1)
    assert promoted["version"] == "2"
    assert promoted["golden"]["labels_compared"] > 0
    # A refusal is no failure: it was told so at once.
    assert {answer.status for answer in load.answers} <= {200, 429}
    served = sorted((a for a in load.answers if a.status == 200), key=lambda a: a.sent)
    assert len(served) > 5 * RATE
    first_two = next(i for i, answer in enumerate(served) if answer.version == "2")
    last_two = max(i for i, answer in enumerate(served) if answer.version == "2")
    assert served[last_two].sent > rolled_back
    # Requests sent within a moment of a switch may be read in another order.
    odd = sum(a.version != "2" for a in served[first_two:last_two])
    assert odd <= 5
    for answer in served:
        assert answer.score == pytest.approx(alone[answer.version][answer.text], abs=2e-3)
    assert all(abs(a - b) > 4e-3 for a, b in zip(alone["1"], alone["2"], strict=True))


def test_an_engine_that_cannot_be_loaded_changes_nothing(
    stack: Stack, repository: Path, candidate: Path
) -> None:
    (candidate / ENGINE_FILE).write_bytes(empty_engine(b"nothing to run"))
    sums = {"engine_sha256": file_sha256(candidate / ENGINE_FILE)}
    write_card(read_card(candidate).model_copy(update=sums), candidate)
    before = stubs(stack)
    with Load(stack.url) as load:
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        _, errors = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "model.onnx" in errors
    assert {answer.status for answer in load.answers} <= {200, 429}
    assert {answer.version for answer in load.answers if answer.status == 200} == {"1"}
    assert stubs(stack) == before
    assert not (repository / "sentiment" / "2").exists()
    assert stack.process.poll() is None


@pytest.mark.parametrize("moment", ["while it is loaded", "once it serves"])
def test_a_kill_in_the_middle_leaves_one_whole_version(
    repository: Path, candidate: Path, moment: str
) -> None:
    killed = start(repository)
    try:
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        if moment == "once it serves":
            until(lambda: serves(repository) == "2")
        else:
            until(lambda: (repository / "sentiment" / "2").is_dir())
            time.sleep(0.1)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        _, errors = command.communicate(timeout=60)
    finally:
        killed.process.kill()
        killed.process.communicate()
    assert command.returncode == 1
    assert "sub50 engines list" in errors
    expected = "2" if moment == "once it serves" else "1"
    again = start(repository)
    try:
        answer = classify(again.url, TEXTS[0])
        assert (answer["version"], answer["results"][0]["label"]) == (expected, "positive")
        verb = ("rollback", "sentiment") if expected == "2" else ("promote", "sentiment", "2")
        other = result_of(engines(*verb, repository=repository))["version"]
        assert other != expected
        assert classify(again.url, TEXTS[0])["version"] == other
    finally:
        again.end()

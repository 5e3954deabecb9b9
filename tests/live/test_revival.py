"""Triton, a stub or the process that keeps them is killed or stopped under load: all comes back."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promote_under_load import make_candidate
from chaos.processes import running_below, still_running
from chaos.stack import TRITON
from core.card import ENGINE_FILE
from tests.live.promoting import (
    TEXTS,
    Load,
    classify,
    engines,
    result_of,
    start,
    stubs,
    until,
)
from tests.live.test_stack import Stack

pytestmark = pytest.mark.live

NOTICE_SECONDS = 2.0
BACK_SECONDS = 10.0
BULK_TEXTS = [" ".join(TEXTS[(i + j) % len(TEXTS)] for j in range(6)) for i in range(120)]


def triton_of(stack: Stack) -> int:
    (found,) = running_below(stack.process.pid, TRITON)
    return found


def supervisor_of(stack: Stack) -> int:
    return int(Path(f"/proc/{triton_of(stack)}/stat").read_text().rpartition(")")[2].split()[1])


def readiness(stack: Stack) -> dict[str, Any]:
    try:
        return dict(json.loads(stack.get("/readyz")))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.load(error))


def restarts(stack: Stack) -> dict[str, float]:
    lines = stack.get("/metrics").decode().splitlines()
    found = [line for line in lines if line.startswith("sub50_triton_restarts_total{")]
    counts = {line.split('"')[1]: float(line.rpartition(" ")[2]) for line in found}
    return {reason: count for reason, count in counts.items() if count}


def in_flight(stack: Stack) -> float:
    lines = stack.get("/metrics").decode().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith("sub50_inflight ")]
    return float(value)


def regions(stack: Stack) -> set[str]:
    return {path.name for path in Path("/dev/shm").glob(f"sub50-{stack.process.pid}-*")}


def bulk(stack: Stack) -> tuple[Any, float]:
    """A request of some seconds' work, and when it was answered."""
    answer = stack.post("/v1/classify", {"input": BULK_TEXTS})
    return answer, time.monotonic()


def strike(
    stack: Stack, victim: int, number: signal.Signals, *patient: Future[tuple[Any, float]]
) -> float:
    """Strike under load: it is noticed in time, it comes back in time, and nobody is left to wait.

    A Triton that did not stay long is started again after a pause of a second, which is allowed.
    Those that are `patient` have their time to the end. Returns when it struck.
    """
    family = stack.descendants()
    with Load(stack.url) as load:
        time.sleep(0.5)
        struck = time.monotonic()
        os.kill(victim, number)
        until(lambda: not readiness(stack)["ready"], NOTICE_SECONDS)
        until(lambda: readiness(stack)["ready"], struck + BACK_SECONDS - time.monotonic())
        back = time.monotonic()
        time.sleep(1)
    after = [answer for answer in load.answers if answer.sent > struck]
    assert {answer.status for answer in after} <= {200, 429, 503, 504}
    assert 503 in {answer.status for answer in after}
    # Before it is noticed some wait in vain; from then on they are told at once.
    assert all(answer.sent < struck + 1.5 for answer in after if answer.status == 504)
    later = {answer.status for answer in after if answer.sent > back + 0.1}
    assert later == {200}
    wait(patient, 60)
    until(lambda: in_flight(stack) == 0, 2)
    assert still_running(family) == set()  # of the Triton before
    return struck


def test_what_hangs_is_noticed_and_comes_back(repository: Path) -> None:
    stack = start(repository, SUB50_INTERACTIVE_TIMEOUT_MS="500")
    try:
        strike(stack, min(stubs(stack)), signal.SIGSTOP)
        assert restarts(stack) == {"hung": 1.0}
        strike(stack, triton_of(stack), signal.SIGSTOP)
        assert restarts(stack) == {"hung": 2.0}

        # A stop while it comes back, after the death of the process that keeps it.
        os.kill(supervisor_of(stack), signal.SIGKILL)
        until(lambda: not readiness(stack)["ready"], NOTICE_SECONDS)
        until(lambda: restarts(stack).get("supervisor_died") == 1.0, 5)
        family = stack.descendants()
    finally:
        status, output = stack.end()
    assert status == 0, output
    assert still_running(family) == set()
    assert regions(stack) == set()


def test_what_is_killed_comes_back_with_the_version_that_was_promoted(
    repository: Path, tmp_path: Path
) -> None:
    candidate = tmp_path / "candidate"
    make_candidate(repository / "sentiment" / "1", candidate)
    stack = start(repository, SUB50_INTERACTIVE_TIMEOUT_MS="500")
    try:
        result_of(engines("promote", "sentiment", str(candidate), repository=repository))
        before = classify(stack.url, TEXTS[0])
        assert before["version"] == "2"
        whole, _ = bulk(stack)
        with ThreadPoolExecutor(1) as pool:
            under_way = pool.submit(bulk, stack)
            struck = strike(stack, triton_of(stack), signal.SIGKILL, under_way)
            answer, answered = under_way.result(0)
        assert answered > struck, "it was in flight"
        assert answer == whole
        assert restarts(stack) == {"triton_died": 1.0}
        assert classify(stack.url, TEXTS[0]) == before

        # An engine that was broken on disk meanwhile is not taken for the one that served.
        engine = repository / "sentiment" / "2" / ENGINE_FILE
        engine.write_bytes(engine.read_bytes()[:1000])
        os.kill(min(stubs(stack)), signal.SIGKILL)
        until(lambda: not readiness(stack)["ready"], NOTICE_SECONDS)
        told = "cannot be loaded"
        until(lambda: told in str(readiness(stack)["models"]), BACK_SECONDS)
        with pytest.raises(urllib.error.HTTPError) as caught:
            classify(stack.url, TEXTS[0])
        with caught.value:
            assert caught.value.code == 503
            assert caught.value.headers["Retry-After"]
            assert told in json.load(caught.value)["detail"]
        # Promotions find the Triton that came after, and one goes back from what is broken.
        result_of(engines("rollback", "sentiment", repository=repository))
        until(lambda: readiness(stack)["ready"], 2)
        assert classify(stack.url, TEXTS[0])["version"] == "1"
        assert restarts(stack) == {"triton_died": 1.0, "model_died": 1.0}
    finally:
        status, output = stack.end()
    assert status == 0, output
    assert regions(stack) == set()

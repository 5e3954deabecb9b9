"""The clock on the wall jumps while requests come in: none fails, and nothing is started anew."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from chaos.faults.clock import HOUR, LIBRARY, ClockJump
from chaos.processes import descendants_of, program_of
from chaos.stack import STUB, TRITON, Stack
from tests.compiler import skip_without_compiler
from tests.live.promoting import Load

pytestmark = pytest.mark.live

JUMPS_SECONDS = (HOUR, -HOUR, 30 * 24 * HOUR)
BETWEEN_SECONDS = 2.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    skip_without_compiler()
    # What is tested is what it answers, not how fast this machine is.
    running = Stack(tmp_path, {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"})
    ClockJump("set the clock", 0).prepare(running)
    running.start()
    yield running
    assert running.stop() == 0


def ahead_seconds(stack: Stack) -> float:
    """How far the service's clock is ahead of ours, to a second or two."""
    with urllib.request.urlopen(f"{stack.url}/readyz", timeout=10) as response:
        assert response.status == 200
        return parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()


def test_a_clock_that_jumps_fails_no_request(stack: Stack) -> None:
    below = descendants_of(stack.pid)
    moved = [pid for pid in below if program_of(pid) in (TRITON, STUB)]
    assert len(moved) >= 5
    for pid in moved:
        assert LIBRARY in Path(f"/proc/{pid}/maps").read_text(), program_of(pid)
    with Load(stack.url) as load:
        time.sleep(BETWEEN_SECONDS)
        for seconds in JUMPS_SECONDS:
            ClockJump("jump", seconds).strike(stack)
            time.sleep(BETWEEN_SECONDS)
            assert ahead_seconds(stack) == pytest.approx(seconds, abs=5)
    assert len(load.answers) > 100
    assert {answer.status for answer in load.answers} == {200}
    for text in {answer.text for answer in load.answers}:
        scores = [answer.score for answer in load.answers if answer.text == text]
        assert max(scores) - min(scores) < 2e-3
    assert descendants_of(stack.pid) == below, "nothing was started anew"

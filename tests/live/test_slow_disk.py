"""A slow disk under the engines of a service: requests go on, and a promotion is slow and whole."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from benchmarks.promote_under_load import make_candidate
from chaos.slow_disk import SlowDisk
from tests.background import Background
from tests.compiler import skip_without_compiler
from tests.deploy.running import answers
from tests.live.promoting import Load, classify, engines, result_of, start, until

pytestmark = pytest.mark.live

CALL_SECONDS = 0.4
# Then the disk gets faster: Triton reads an engine in hundreds of calls.
SLOW_CALLS = 9
FASTER_SECONDS = 0.005


class Asked(Load):
    """A load that notes how long each answer took."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.took_seconds: list[float] = []

    def _ask(self, number: int) -> None:
        begun = time.monotonic()
        super()._ask(number)
        self.took_seconds.append(time.monotonic() - begun)


class Ready(Background):
    """Whether it says that it is ready, again and again."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.found: list[bool] = []
        self._url = f"{url}/readyz"

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self.found.append(answers(self._url))


def test_requests_go_on_while_a_version_comes_from_a_slow_disk(
    repository: Path, tmp_path: Path
) -> None:
    skip_without_compiler()
    make_candidate(repository / "sentiment" / "1", tmp_path / "candidate")
    disk = SlowDisk(repository)
    stack = start(repository, SUB50_DRAIN_SECONDS="0", **disk.variables())
    try:
        classify(stack.url, "Fine.")
        with Asked(stack.url) as load, Ready(stack.url) as ready:
            disk.take(CALL_SECONDS)
            candidate = str(tmp_path / "candidate")
            command = engines("promote", "sentiment", candidate, repository=repository)
            until(lambda: disk.calls >= SLOW_CALLS)
            disk.take(FASTER_SECONDS)
            promoted = result_of(command)
            disk.take(0)
        assert classify(stack.url, "Fine.")["version"] == promoted["version"] == "2"
    finally:
        status, output = stack.end()
    assert status == 0, output
    assert promoted["seconds_to_switch"] > (SLOW_CALLS - 5) * CALL_SECONDS
    assert {answer.status for answer in load.answers} == {200}
    assert set(ready.found) == {True}
    # One call in the event loop, and all that came meanwhile would have waited for it.
    late = sum(seconds >= CALL_SECONDS for seconds in load.took_seconds)
    assert late <= 0.02 * len(load.took_seconds)

"""The trial of drains, over small processes that end in order, or do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import drain
from chaos.errors import ChaosError
from chaos.processes import still_running
from chaos.row import Row
from chaos.stack import Stack
from chaos.trial import Conditions
from loadtest.stack import is_ready
from tests.deploy.running import wait_for

INSTANCE = Path(__file__).parent / "instance.py"


class StandIn(Stack):
    """A stack whose service is a small process."""

    how = "drains"
    pids: list[int] = []  # noqa: RUF012, of all of them

    def start(self) -> None:
        self.temporary.mkdir(exist_ok=True)
        command = [sys.executable, INSTANCE, str(self.port), self.how, self.temporary]
        self._process = subprocess.Popen(command)
        self.pids.append(self.pid)
        wait_for(lambda: is_ready(self.port), 20, lambda: "an instance does not answer")


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(drain, "Stack", StandIn)
    monkeypatch.setattr(drain, "PAUSE_SECONDS", 0.3)
    monkeypatch.setattr(StandIn, "pids", [])
    yield
    assert len(StandIn.pids) >= drain.INSTANCES
    assert still_running(StandIn.pids) == set()


def drained(folder: Path, repetitions: int = 1) -> Row:
    return drain.run_drains(Conditions(100, before_seconds=0.4), folder, repetitions)


def test_instances_that_drain_lose_nothing(tmp_path: Path) -> None:
    row = drained(tmp_path, repetitions=2)
    assert row.fault == "drain, 2 times"
    assert row.right == row.sent > 60
    assert (row.wrong, row.refused, row.late, row.failed) == (0, 0, 0, 0)
    assert row.in_flight > 0
    assert row.in_flight_failed == 0
    assert row.notice_seconds is not None
    assert 0 < row.notice_seconds < 1
    assert row.left == []
    assert len(StandIn.pids) == drain.INSTANCES + 2


def test_what_is_cut_off_is_counted_and_what_is_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "how", "abrupt")
    row = drained(tmp_path)
    assert row.failed >= row.in_flight_failed > 0
    assert row.right + row.failed == row.sent
    assert [Path(path).name for path in row.left] == ["left"]


def test_an_instance_that_ends_with_an_error_ends_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "how", "fails")
    with pytest.raises(ChaosError, match=r"did not end in order \(status 3\)"):
        drained(tmp_path)

"""Tests record nothing in the store of the machine that they run on, nor do they change how their
own process runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import hypothesis
import pytest

# Nobody sends a service of the tests anything when it is told to end; tests of that set their own.
os.environ["SUB50_DRAIN_SECONDS"] = "0"
# What nohup, and a shell with `&`, leave to everything below them; tests close terminals and
# interrupt what they started, and look what comes of it.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
# `make fuzz` gives every property many more inputs than a test needs.
if examples := os.environ.get("FUZZ_EXAMPLES"):
    hypothesis.settings.register_profile("fuzz", max_examples=int(examples), deadline=None)
    hypothesis.settings.load_profile("fuzz")


@pytest.fixture(autouse=True)
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn tracking off; tests of it name a store of their own."""
    monkeypatch.setenv("SUB50_TRACKING_URI", "none")


@pytest.fixture(autouse=True)
def steps_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """By how much each command of a test stepped back behind other processes.

    In a test it does not: there is no way back, and all later tests of this process would starve
    beside those of another.
    """
    before = _how_it_runs()
    noted: list[int] = []
    monkeypatch.setattr(os, "nice", noted.append)
    yield noted
    assert _how_it_runs() == before


def _how_it_runs() -> tuple[int, int]:
    return os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)

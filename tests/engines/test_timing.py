"""Engines are timed in turns, each at the same shapes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from engines.graph import classifier_graph
from engines.timing import TIMED_SHAPES, relative_times, seconds_in_turns, timings
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_weights


class Sleeper:
    """A session that takes its time, and notes who ran and on what."""

    def __init__(self, name: str, seconds: float, ran: list[str]) -> None:
        self.name, self.seconds, self.ran = name, seconds, ran
        self.ids = np.zeros((0, 0), dtype=np.int64)

    def run(self, _: None, feed: dict[str, NDArray[np.int64]]) -> None:
        self.ran.append(self.name)
        self.ids = feed["input_ids"]
        time.sleep(self.seconds)


def test_turns_are_taken_and_the_first_does_not_count() -> None:
    ran: list[str] = []
    sessions = [Sleeper("slow", 0.006, ran), Sleeper("fast", 0.002, ran)]
    taken = seconds_in_turns(sessions, 2, 16, seconds=0.0, least_rounds=3, token_ids=5)
    assert ran == ["slow", "fast"] * 4
    assert taken.shape == (3, 2)
    assert (taken[:, 0] >= 0.006).all()
    assert (taken[:, 1] >= 0.002).all()
    for session in sessions:
        assert session.ids.shape == (2, 16)
        assert session.ids.max() < 5


def test_times_stand_beside_that_of_the_first() -> None:
    ran: list[str] = []
    sessions = {"a": Sleeper("a", 0.002, ran), "b": Sleeper("b", 0.02, ran)}
    found = relative_times(sessions, 1, 8, seconds=0.01)
    assert list(found) == ["a", "b"]
    assert found["a"] == 1
    # A busy machine may add to either's sleep.
    assert found["b"] > 2


def test_timings_cover_every_shape(tmp_path: Path) -> None:
    model = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    found = timings(path, model, seconds=0.01, token_ids=200)
    assert [(timing.batch, timing.tokens) for timing in found] == list(TIMED_SHAPES)
    for timing in found:
        assert 0 < timing.p50_ms <= timing.p99_ms
        assert timing.texts_per_second == pytest.approx(timing.batch / timing.p50_ms * 1e3)

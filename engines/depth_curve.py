"""Engines of several depths side by side: what each keeps of the accuracy, and how fast it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from core.card import ENGINE_FILE, EngineCard
from engines.hardware import machine
from engines.measure import open_session
from engines.merge import ADAPTER_FILE
from engines.timing import TIMED_SHAPES, seconds_in_turns

SECONDS_PER_SHAPE = 2.0
ROUNDS_AT_LEAST = 20
# Time does not depend on which tokens are run; these are in every vocabulary.
TOKEN_IDS = 1000


@dataclass(frozen=True)
class Depth:
    """One network: its adapter folder and its engine's version folder; `card` is None where the
    gate refused the engine, for the reason in `refused`."""

    layers: int
    adapter: Path
    engine: Path
    card: EngineCard | None
    refused: str | None = None


@dataclass(frozen=True)
class Speed:
    """Median time of an engine's call at one shape, and how many times the teacher's throughput
    that is: the ratio of both medians, taken in turns."""

    batch: int
    tokens: int
    p50_ms: float
    times_teacher: float

    @property
    def texts_per_second(self) -> float:
        """Throughput of one core."""
        return self.batch / self.p50_ms * 1e3


@dataclass(frozen=True)
class Row:
    """One depth with its speed at every shape; none where the gate refused it."""

    depth: Depth
    speeds: tuple[Speed, ...]

    def accuracies(self) -> dict[str, float]:
        """Share of right labels of the INT8 engine, by data set."""
        card = self.depth.card
        return {each.data: each.accuracy for each in card.accuracy} if card else {}


@dataclass(frozen=True)
class Curve:
    """The teacher, then its students. `asked_teacher` counts the texts whose answers the teacher
    had to compute in this run."""

    name: str
    teacher: Row
    students: tuple[Row, ...]
    asked_teacher: int

    def points_from_teacher(self, row: Row) -> dict[str, float]:
        """Accuracy less the teacher's, in points of 100, by data set."""
        before = self.teacher.accuracies()
        return {data: 100 * (value - before[data]) for data, value in row.accuracies().items()}

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            "model": self.name,
            "machine": machine(),
            "teacher_answers_computed": self.asked_teacher,
            "teacher": self._row(self.teacher),
            "students": [self._row(row) for row in self.students],
        }

    def _row(self, row: Row) -> dict[str, Any]:
        depth, card = row.depth, row.depth.card
        points = self.points_from_teacher(row)
        return {
            "layers": depth.layers,
            "adapter": str(depth.adapter),
            "adapter_bytes": (depth.adapter / ADAPTER_FILE).stat().st_size,
            "engine": str(depth.engine) if card else None,
            "refused": depth.refused,
            "engine_bytes": card.engine_bytes if card else None,
            "memory_bytes": card.memory_bytes if card else None,
            "accuracy": [
                {**each.model_dump(mode="json"), "points_from_teacher": points[each.data]}
                for each in (card.accuracy if card else ())
            ],
            "speed": [
                {
                    "batch": speed.batch,
                    "tokens": speed.tokens,
                    "threads": 1,
                    "p50_ms": speed.p50_ms,
                    "texts_per_second": speed.texts_per_second,
                    "times_teacher": speed.times_teacher,
                }
                for speed in row.speeds
            ],
        }


def measure_curve(
    name: str, depths: Sequence[Depth], asked_teacher: int, seconds: float = SECONDS_PER_SHAPE
) -> Curve:
    """Time all engines in turns on one thread; the first of `depths` is the teacher, which passed
    the gate.

    Args:
        seconds: for all engines together at each shape, at least twenty rounds.
    """
    made = [depth for depth in depths if depth.card]
    sessions = [open_session(depth.engine / ENGINE_FILE, threads=1) for depth in made]
    medians: dict[Path, list[float]] = {depth.engine: [] for depth in made}
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("speed, in turns", total=len(TIMED_SHAPES))
        for batch, tokens in TIMED_SHAPES:
            taken = seconds_in_turns(sessions, batch, tokens, seconds, ROUNDS_AT_LEAST, TOKEN_IDS)
            for depth, median in zip(made, np.median(taken, axis=0).tolist(), strict=True):
                medians[depth.engine].append(median)
            progress.advance(bar)
    teacher = medians[depths[0].engine]
    rows = [
        Row(depth, _speeds(medians[depth.engine], teacher) if depth.card else ())
        for depth in depths
    ]
    return Curve(name, rows[0], tuple(rows[1:]), asked_teacher)


def _speeds(medians: list[float], teacher: list[float]) -> tuple[Speed, ...]:
    return tuple(
        Speed(batch, tokens, median * 1e3, before / median)
        for (batch, tokens), median, before in zip(TIMED_SHAPES, medians, teacher, strict=True)
    )

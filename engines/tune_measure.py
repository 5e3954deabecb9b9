"""Measures candidates side by side: closed loop, in worker processes, taking turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engines.errors import EngineError
from engines.runtimes import Candidate

BATCHES = (1, 2, 4, 8)
# Every candidate has a turn in each: what disturbs the machine for a while disturbs them all.
ROUNDS = 3
# In most vocabularies.
TOKEN_IDS = 200


@dataclass(frozen=True)
class Point:
    """What one candidate did with calls of `batch` texts, over all its instances."""

    batch: int
    texts_per_second: float
    p50_ms: float
    p99_ms: float
    calls: int

    def as_dict(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)


@dataclass
class Measurement:
    """All points of a candidate, and the time of single runs as (tokens, ms)."""

    candidate: Candidate
    points: list[Point] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)


class Worker:
    """One instance: a process that loads the engine and runs what it is told."""

    def __init__(
        self,
        candidate: Candidate,
        folder: Path,
        mix: Sequence[tuple[int, float]],
        token_ids: int = TOKEN_IDS,
    ) -> None:
        root = Path(__file__).resolve().parent.parent
        self.name = candidate.label
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engines.tune_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        self.ask(
            path=str((folder / candidate.engine_file).absolute()),
            backend=candidate.backend,
            precision=candidate.precision,
            threads=candidate.threads,
            lengths=list(mix),
            batches=BATCHES,
            token_ids=token_ids,
        )

    def ask(self, **values: Any) -> None:
        """Send a line; the answer comes with `answer`."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(values) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer. Raises EngineError with the reason if the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            lines = self.process.stderr.read().strip().splitlines() or ["no reason given"]
            raise EngineError(f"{self.name} cannot be measured: {lines[-1]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()


def measure(
    candidates: Sequence[Candidate],
    folder: Path,
    mix: Sequence[tuple[int, float]],
    seconds: float,
    told: Callable[[str], None] = lambda text: None,
    token_ids: int = TOKEN_IDS,
) -> list[Measurement]:
    """Latency and throughput of each candidate at each batch size.

    Args:
        candidates: what to measure.
        folder: where the engine files lie under the names that candidates give them.
        mix: tokens of a text and its weight.
        seconds: time of each candidate at each batch size, over all rounds.
        told: called with what is being done.
        token_ids: texts are made of ids below this.

    Raises:
        EngineError: an engine cannot be loaded.
    """
    with ExitStack() as stack:
        workers: dict[tuple[str, str, int], list[Worker]] = {}
        for candidate in candidates:
            told(f"loading {candidate.label}")
            key = (candidate.backend, candidate.precision, candidate.threads)
            # Candidates that differ in the number of instances only share them.
            pool = workers.setdefault(key, [])
            while len(pool) < candidate.instances:
                worker = Worker(candidate, folder, mix, token_ids)
                stack.callback(worker.close)
                worker.answer()
                pool.append(worker)
        answers: dict[tuple[Candidate, int], list[dict[str, Any]]] = {}
        for number in range(ROUNDS):
            for batch in BATCHES:
                for candidate in candidates:
                    told(f"round {number + 1} of {ROUNDS}, batches of {batch}: {candidate.label}")
                    key = (candidate.backend, candidate.precision, candidate.threads)
                    busy = workers[key][: candidate.instances]
                    for index, worker in enumerate(busy):
                        worker.ask(batch=batch, seconds=seconds / ROUNDS, seed=number * 100 + index)
                    found = answers.setdefault((candidate, batch), [])
                    found += [worker.answer() for worker in busy]
    return [summary(candidate, answers) for candidate in candidates]


def summary(
    candidate: Candidate, answers: dict[tuple[Candidate, int], list[dict[str, Any]]]
) -> Measurement:
    """A candidate's points out of what its instances answered over all rounds."""
    result = Measurement(candidate)
    for batch in BATCHES:
        found = answers[candidate, batch]
        calls_ms = np.concatenate([answer["calls_ms"] for answer in found])
        # Instances run at the same time, rounds one after the other.
        seconds = sum(answer["elapsed_seconds"] for answer in found) / candidate.instances
        p50, p99 = np.percentile(calls_ms, [50, 99])
        rate = batch * len(calls_ms) / seconds
        result.points.append(Point(batch, rate, float(p50), float(p99), len(calls_ms)))
        result.runs += [(int(size), float(ms)) for answer in found for size, ms in answer["runs"]]
    return result

"""How fast an engine answers, how large it is, and what a million requests cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from engines.evaluated_engine import EvaluatedEngine
from engines.evaluation_record import Calls, Speed
from engines.hardware import machine
from engines.measure import memory_bytes
from engines.price import Price
from engines.runtimes import gpu_name, gpu_of
from engines.tune_measure import BATCHES, ROUNDS, Worker, summary

# Lengths that stand for those of all texts: the middles of so many equal parts of them.
LENGTHS = 10


def measure_speed(
    engines: Sequence[EvaluatedEngine],
    texts: Sequence[str],
    seconds: float,
    price: Price | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> list[Speed]:
    """Time of calls and texts/s of each engine, run as it is served, taking turns.

    Args:
        engines: what is measured.
        texts: whose lengths the calls have.
        seconds: time of each engine at each batch size, over all rounds.
        price: of the machine; None leaves costs out.
        told: called with what is being done.

    Raises:
        EngineError: an engine cannot be loaded.
    """
    lengths = [typical_lengths(engine, texts) for engine in engines]
    answers = _take_turns(engines, lengths, seconds, told)
    return [
        _speed(engine, mix, found, price)
        for engine, mix, found in zip(engines, lengths, answers, strict=True)
    ]


def typical_lengths(engine: EvaluatedEngine, texts: Sequence[str]) -> list[int]:
    """Lengths in tokens that stand for those of the texts, the shortest first."""
    middles = (np.arange(LENGTHS) + 0.5) / LENGTHS
    found = np.quantile(engine.lengths(texts), middles, method="nearest")
    return [int(length) for length in found]


def _take_turns(
    engines: Sequence[EvaluatedEngine],
    lengths: Sequence[Sequence[int]],
    seconds: float,
    told: Callable[[str], None],
) -> list[dict[int, list[dict[str, Any]]]]:
    """For each engine, what its workers answered at each batch size."""
    with ExitStack() as stack:
        pools: list[list[Worker]] = []
        for engine, mix in zip(engines, lengths, strict=True):
            told(f"loading {engine.label}")
            pool = []
            for _ in range(engine.candidate.instances):
                worker = Worker(engine.candidate, engine.folder, [(each, 1.0) for each in mix])
                stack.callback(worker.close)
                worker.answer()
                pool.append(worker)
            pools.append(pool)
        found: list[dict[int, list[dict[str, Any]]]] = [{} for _ in engines]
        for number in range(ROUNDS):
            for batch in BATCHES:
                for engine, pool, answers in zip(engines, pools, found, strict=True):
                    told(f"round {number + 1} of {ROUNDS}, batches of {batch}: {engine.label}")
                    for index, worker in enumerate(pool):
                        worker.ask(batch=batch, seconds=seconds / ROUNDS, seed=number * 100 + index)
                    answers.setdefault(batch, []).extend(worker.answer() for worker in pool)
        return found


def _speed(
    engine: EvaluatedEngine,
    lengths: list[int],
    answers: dict[int, list[dict[str, Any]]],
    price: Price | None,
) -> Speed:
    candidate = engine.candidate
    points = summary(candidate, {(candidate, batch): answers[batch] for batch in BATCHES}).points
    gpu = gpu_of(candidate)
    # Of a process that runs it on processors by ONNX Runtime.
    is_known = candidate.backend == "onnxruntime" and not candidate.on_gpu
    return Speed(
        machine=f"{gpu_name(gpu)}; {machine()}" if gpu else machine(),
        backend=candidate.backend,
        precision=candidate.precision,
        threads=candidate.threads,
        instances=candidate.instances,
        tokens=lengths,
        calls=[
            Calls(
                batch=point.batch,
                calls=point.calls,
                p50_ms=point.p50_ms,
                p99_ms=point.p99_ms,
                texts_per_second=point.texts_per_second,
            )
            for point in points
        ],
        engine_bytes=engine.engine_file.stat().st_size,
        memory_bytes=memory_bytes(engine.engine_file) if is_known else None,
        cost=price.cost(max(p.texts_per_second for p in points)) if price else None,
    )

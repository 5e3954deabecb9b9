"""How long engines take, run in turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from core.card import Timing
from engines.measure import Engine, feed, open_session

# Batch and tokens that latency is measured at: one short text, one paragraph, and batches of them.
TIMED_SHAPES = ((1, 32), (1, 128), (8, 32), (8, 128))
# Time does not depend on which tokens are run; these are in most vocabularies.
TOKEN_IDS = 20_000
LEAST_ROUNDS = 8
LEAST_ROUNDS_COMPARED = 10


def seconds_in_turns(
    sessions: Sequence[ort.InferenceSession],
    batch: int,
    tokens: int,
    seconds: float,
    least_rounds: int,
    token_ids: int = TOKEN_IDS,
) -> NDArray[np.float64]:
    """Seconds that each run of each session took, (rounds, sessions), less a first round.

    Args:
        sessions: with one thread each.
        batch: texts of each run.
        tokens: of each text.
        seconds: for all sessions together.
        least_rounds: run however long they take.
        token_ids: tokens are drawn at random below this.
    """
    ids = np.random.default_rng(0).integers(0, token_ids, (batch, tokens), dtype=np.int64)
    inputs = feed(ids, np.ones_like(ids))
    for session in sessions:
        session.run(None, inputs)
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(rounds) < least_rounds:
        rounds.append([_seconds(session, inputs) for session in sessions])
    return np.array(rounds)


def timings(
    engine: Path, reference: onnx.ModelProto, seconds: float = 0.6, token_ids: int = TOKEN_IDS
) -> list[Timing]:
    """Latency of an engine and of its unquantized graph at each shape, on one thread.

    Args:
        engine: the engine file.
        reference: the unquantized graph.
        seconds: how long each shape is measured, at least eight runs.
        token_ids: see `seconds_in_turns`.
    """
    return timings_of(open_session(engine, threads=1), reference, seconds, token_ids)


def timings_of(
    engine: Engine, reference: onnx.ModelProto, seconds: float = 0.6, token_ids: int = TOKEN_IDS
) -> list[Timing]:
    """`timings` of an engine that is open, with one thread, or on a GPU with copies there and back.

    The unquantized graph is run on one thread of the processor.
    """
    runners = [engine, open_session(reference, threads=1)]
    result = []
    for batch, tokens in TIMED_SHAPES:
        taken = seconds_in_turns(runners, batch, tokens, seconds, LEAST_ROUNDS, token_ids)
        p50, p99 = np.quantile(taken[:, 0], [0.5, 0.99])
        result.append(
            Timing(
                batch=batch,
                tokens=tokens,
                threads=1,
                p50_ms=float(p50) * 1e3,
                p99_ms=float(p99) * 1e3,
                texts_per_second=batch / float(p50),
                reference_p50_ms=float(np.median(taken[:, 1])) * 1e3,
            )
        )
    return result


def relative_times(
    sessions: Mapping[str, ort.InferenceSession],
    batch: int,
    tokens: int,
    seconds: float,
    token_ids: int = TOKEN_IDS,
) -> dict[str, float]:
    """Median time of each session over that of the first.

    Args:
        sessions: with one thread each.
        batch: texts of each run.
        tokens: of each text.
        seconds: for each session.
        token_ids: see `seconds_in_turns`.
    """
    taken = seconds_in_turns(
        list(sessions.values()),
        batch,
        tokens,
        seconds * len(sessions),
        LEAST_ROUNDS_COMPARED,
        token_ids,
    )
    medians = np.median(taken, axis=0)
    return dict(zip(sessions, (medians / medians[0]).tolist(), strict=True))


def _seconds(session: ort.InferenceSession, inputs: dict[str, NDArray[np.int64]]) -> float:
    start = time.perf_counter()
    session.run(None, inputs)
    return time.perf_counter() - start

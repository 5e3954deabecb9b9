"""Times of engines over that of another one, taken in turns, so that a busy machine slows all."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import onnxruntime as ort

from engines.measure import feed

LEAST_RUNS = 10
TOKEN_IDS = 20_000


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
        token_ids: tokens are drawn at random below this; time does not depend on which they are.
    """
    ids = np.random.default_rng(0).integers(0, token_ids, (batch, tokens), dtype=np.int64)
    inputs = feed(ids, np.ones_like(ids))
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    end = time.perf_counter() + seconds * len(sessions)
    first = next(iter(sessions))
    while time.perf_counter() < end or len(taken[first]) < LEAST_RUNS:
        for name, session in sessions.items():
            start = time.perf_counter()
            session.run(None, inputs)
            taken[name].append(time.perf_counter() - start)
    return {name: float(np.median(runs) / np.median(taken[first])) for name, runs in taken.items()}

"""Which candidate wins, and the line that predicts the time of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from core.card import Verdict
from engines.errors import EngineError
from engines.runtimes import Candidate
from engines.tune_measure import Measurement, Point

# Half of the 50 ms that an interactive request may take: the rest is for the wait behind the
# batch that runs already, and for the way there and back.
BUDGET_MS = 25.0
TIE = 0.03


def best_point(measurement: Measurement, budget_ms: float = BUDGET_MS) -> Point | None:
    """The point of highest throughput among those whose P99 is under the budget."""
    fit = [point for point in measurement.points if point.p99_ms < budget_ms]
    return max(fit, key=lambda point: point.texts_per_second, default=None)


def winner(
    measurements: Sequence[Measurement],
    verdicts: Mapping[Candidate, Verdict],
    budget_ms: float = BUDGET_MS,
) -> Measurement:
    """The candidate to serve with.

    Only candidates that the gate passes count. Each is read at the batch size of its highest
    throughput among those where the P99 of a call stays under `budget_ms`, half of the promise;
    the highest throughput wins. Candidates within 3 % of it count as equal: then fewer processes
    win, then ONNX Runtime, which needs no further package. Where no candidate has a point under
    the budget, the lowest P99 of single texts wins.

    Raises:
        EngineError: the gate refuses all.
    """
    passed = [found for found in measurements if verdicts[found.candidate].passed]
    if not passed:
        raise EngineError("the gate refuses every candidate; the model is left as it was")
    rates = {
        found.candidate: point.texts_per_second
        for found in passed
        if (point := best_point(found, budget_ms)) is not None
    }
    if not rates:
        return min(passed, key=lambda found: found.points[0].p99_ms)
    highest = max(rates.values())
    equal = [found for found in passed if rates.get(found.candidate, 0) >= (1 - TIE) * highest]
    return min(
        equal,
        key=lambda found: (
            found.candidate.instances,
            found.candidate.backend != "onnxruntime",
            -rates[found.candidate],
        ),
    )


def fitted_line(runs: Sequence[tuple[int, float]]) -> tuple[float, float]:
    """Overhead in ms and ms per token of one run, fitted to runs of (tokens, ms).

    Least squares of the relative error over the median time of each size: short runs, which
    decide whether a request can be taken, count like long ones, and sizes that ran more often
    weigh no more. Neither the overhead nor the slope is ever below zero.
    """
    sizes = sorted({tokens for tokens, _ in runs})
    medians = [np.median([ms for tokens, ms in runs if tokens == size]) for size in sizes]
    tokens, times = np.array(sizes, dtype=float), np.array(medians, dtype=float)
    if len(sizes) > 1:
        slope, overhead = np.polyfit(tokens, times, 1, w=1 / times)
        if overhead >= 0 and slope > 0:
            return float(overhead), float(slope)
    return 0.0, float(np.mean(times / tokens))

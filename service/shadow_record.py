"""What shadowing finds, and whether a candidate may take over after it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from core.card import EngineCard
from core.scores import scores_of
from service.errors import PromotionError
from service.sure_labels import changed_labels

Floats = npt.NDArray[np.float32]

# Fewer say nothing of one in a hundred.
LEAST_COPIES = 200
LEAST_LABELS = 100
# Of the labels of which the served version is sure.
LEAST_AGREEMENT = 0.99
# Answers without labels: vectors by 1 - cosine, values by their spread among the copies.
LARGEST_MEAN_CHANGE = 0.05
# A call of the candidate is slow beyond so many times the served version's P99 on the same copies.
LARGEST_P99_FACTOR = 1.5
SLOW_SHARE = 0.01
# Slow calls that chance alone would bring about less often than this are not chance.
CHANCE = 0.01
# The times that percentiles are taken of: the last so many, days of them would fill the memory.
MOST_TIMES = 50_000


@dataclass(frozen=True)
class Findings:
    """The figures. Times are of engine calls, one after the other on the same copies."""

    copies: int
    dropped: int
    labels_compared: int
    labels_changed: int
    mean_change: float
    served_p99_ms: float
    candidate_p99_ms: float
    slow_limit_ms: float
    slow_calls: int

    @property
    def agreement(self) -> float:
        """The share of sure labels that are the same, 1 of none."""
        return 1 - self.labels_changed / max(1, self.labels_compared)


class Record:
    """Collects what two versions answered to the same rows, and how long that took."""

    def __init__(self, served: EngineCard, candidate: EngineCard) -> None:
        self._served = served
        self._candidate = candidate
        self._served_ms: deque[float] = deque(maxlen=MOST_TIMES)
        self._candidate_ms: deque[float] = deque(maxlen=MOST_TIMES)
        self._texts = 0
        self._change = 0.0
        self._lowest, self._highest = math.inf, -math.inf
        self.copies = 0
        self.dropped = 0
        self.labels_compared = 0
        self.labels_changed = 0

    def add(
        self, expected: Floats, found: Floats, served_ms: float, candidate_ms: float
    ) -> tuple[int, int]:
        """Note both answers to a copy, float32 of shape (rows, width), and the time of each.

        Returns:
            How many sure labels it had, and how many of them the candidate changed.
        """
        self.copies += 1
        self._served_ms.append(served_ms)
        self._candidate_ms.append(candidate_ms)
        compared, changed = changed_labels(self._served, self._candidate, [*expected], [*found])
        self.labels_compared += compared
        self.labels_changed += changed
        self._texts += len(expected)
        self._change += float(self._changes(expected, found).sum())
        self._lowest = min(self._lowest, float(expected.min()))
        self._highest = max(self._highest, float(expected.max()))
        return compared, changed

    def progress(self) -> dict[str, object]:
        """The figures so far, for whoever waits."""
        return {
            "copies": self.copies,
            "dropped": self.dropped,
            "labels_compared": self.labels_compared,
            "labels_changed": self.labels_changed,
        }

    def findings(self, budget_ms: float) -> Findings:
        """All figures; a call over `budget_ms` is slow, where the served version keeps to it."""
        served, candidate = np.array(self._served_ms), np.array(self._candidate_ms)
        served_p99_ms = _p99(served)
        limit_ms = LARGEST_P99_FACTOR * served_p99_ms
        if served_p99_ms <= budget_ms:
            limit_ms = min(limit_ms, budget_ms)
        return Findings(
            copies=self.copies,
            dropped=self.dropped,
            labels_compared=self.labels_compared,
            labels_changed=self.labels_changed,
            mean_change=self._mean_change(),
            served_p99_ms=served_p99_ms,
            candidate_p99_ms=_p99(candidate),
            slow_limit_ms=limit_ms,
            slow_calls=int((candidate > limit_ms).sum()),
        )

    def _changes(self, expected: Floats, found: Floats) -> Floats:
        """How far the answer to each text moved, float32 of shape (rows,)."""
        card = self._served
        moved: Floats
        if card.output == "embedding":
            lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
            moved = 1 - (expected * found).sum(axis=1) / np.maximum(lengths, 1e-9)
            return moved
        before, after = (scores_of(each, card.problem_type) for each in (expected, found))
        moved = np.abs(before - after).max(axis=1)
        return moved

    def _mean_change(self) -> float:
        change = self._change / max(1, self._texts)
        if self._served.problem_type != "regression" or not change:
            return change
        spread = self._highest - self._lowest
        return change / spread if spread else change


def require(found: Findings, served: EngineCard, same_labels: bool) -> None:
    """Raise PromotionError, with the figures, unless the candidate may take over.

    `same_labels`: whether its answers have to be those of the served version.
    """
    has_labels = served.output == "logits" and served.problem_type != "regression"
    if found.copies < LEAST_COPIES:
        raise PromotionError(
            f"only {found.copies} copies of live requests were compared ({found.dropped} dropped), "
            f"at least {LEAST_COPIES} are needed; shadow for longer, or while more is asked"
        )
    reasons = []
    if same_labels and has_labels and found.labels_compared < LEAST_LABELS:
        reasons.append(
            f"version {served.version} was sure of {found.labels_compared} labels only, at least "
            f"{LEAST_LABELS} are needed"
        )
    elif same_labels and has_labels and found.agreement < LEAST_AGREEMENT:
        reasons.append(
            f"{found.labels_changed} of {found.labels_compared} sure labels differ "
            f"({100 * found.agreement:.1f} % agree, at least {100 * LEAST_AGREEMENT:g} % have to; "
            "--force lets them differ)"
        )
    if same_labels and not has_labels and not found.mean_change <= LARGEST_MEAN_CHANGE:
        reasons.append(
            f"answers differ by {found.mean_change:.3f} on average, at most {LARGEST_MEAN_CHANGE} "
            "may (--force lets them differ)"
        )
    if _at_least(found.slow_calls, min(found.copies, MOST_TIMES), SLOW_SHARE) < CHANCE:
        reasons.append(
            f"{found.slow_calls} calls took longer than {found.slow_limit_ms:.1f} ms, where 1 in "
            f"100 may (P99 {found.candidate_p99_ms:.1f} ms, that of version {served.version} "
            f"{found.served_p99_ms:.1f} ms)"
        )
    if reasons:
        raise PromotionError(f"on {found.copies} copies of live requests: {'; '.join(reasons)}")


def _p99(times_ms: npt.NDArray[np.float64]) -> float:
    return float(np.quantile(times_ms, 0.99, method="inverted_cdf")) if times_ms.size else 0.0


def _at_least(hits: int, tries: int, share: float) -> float:
    """Probability of so many hits or more, if each try hits with probability `share`."""
    if not hits:
        return 1.0
    log_fewer = [
        math.lgamma(tries + 1)
        - math.lgamma(k + 1)
        - math.lgamma(tries - k + 1)
        + k * math.log(share)
        + (tries - k) * math.log1p(-share)
        for k in range(hits)
    ]
    return max(0.0, 1.0 - math.fsum(map(math.exp, log_fewer)))

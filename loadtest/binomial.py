"""Tails of the binomial distribution, exact and in log space."""

from __future__ import annotations

import math


def at_most(k: int, n: int, p: float) -> float:
    """P(X <= k) of n independent tries that each hit with probability p, 0 < p < 1.

    The smaller side of the distribution is summed, each term from log-gamma, so that n may be in
    the millions and the result as small as a float can be.
    """
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    if k <= n * p:
        return _sum_of_terms(0, k, n, p)
    return max(0.0, 1.0 - _sum_of_terms(k + 1, n, n, p))


def at_least(k: int, n: int, p: float) -> float:
    """P(X >= k) of n independent tries that each hit with probability p, 0 < p < 1."""
    return at_most(n - k, n, 1.0 - p)


def _sum_of_terms(first: int, last: int, n: int, p: float) -> float:
    """Sum of the probabilities of `first` to `last` hits, starting with the largest of them."""
    mode = min(max(int((n + 1) * p), first), last)
    largest = math.exp(_log_probability(mode, n, p))
    odds = p / (1 - p)
    total, term = 1.0, 1.0
    for hits in range(mode + 1, last + 1):
        term *= (n - hits + 1) / hits * odds
        total += term
        if term < total * 1e-18:
            break
    term = 1.0
    for hits in range(mode, first, -1):
        term *= hits / (n - hits + 1) / odds
        total += term
        if term < total * 1e-18:
            break
    return min(1.0, largest * total)


def _log_probability(hits: int, n: int, p: float) -> float:
    choices = math.lgamma(n + 1) - math.lgamma(hits + 1) - math.lgamma(n - hits + 1)
    return choices + hits * math.log(p) + (n - hits) * math.log1p(-p)

"""What an engine call costs: `overhead + per_token · tokens`, fitted while serving.

One line a model. The card gives the first one; every call that comes back moves it, so that it
follows the machine as it is now: its clock, its neighbours, its load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.card import EngineCard

# The memory of the fit, in calls: at full load about half a second.
MEMORY_CALLS = 50
# The first line counts as so many calls, so that one stray call does not replace it.
SEED_CALLS = 10
# Calls all of about one length say nothing about the slope. It then keeps the seed's, scaled to
# the level seen; this spread of lengths (in tokens) weighs as much as the seed.
SLOPE_PRIOR_TOKENS = 20.0
# A call further off than so many mean residuals counts as if it were just so far off (Huber 1964,
# "Robust estimation of a location parameter": bounded influence).
CLIP_RESIDUALS = 3.0
FIRST_RESIDUAL = 0.25
# Where a card has no timings: a guess that the first few calls replace.
UNKNOWN_OVERHEAD_MS, UNKNOWN_MS_PER_TOKEN = 2.0, 0.08


@dataclass(frozen=True, slots=True)
class Line:
    """Time of one engine call as a line in its tokens."""

    overhead_ms: float
    ms_per_token: float

    def ms(self, tokens: float) -> float:
        """Predicted time of a call of so many tokens."""
        return self.overhead_ms + self.ms_per_token * tokens


def seed_line(card: EngineCard) -> Line:
    """The line that a card's measurements give: the tuned one, or a fit through its timings."""
    if card.tuning is not None:
        return Line(card.tuning.line_overhead_ms, card.tuning.line_ms_per_token)
    if len(card.timings) < 2:
        return Line(UNKNOWN_OVERHEAD_MS, UNKNOWN_MS_PER_TOKEN)
    tokens = np.array([timing.batch * timing.tokens for timing in card.timings], dtype=float)
    p50_ms = np.array([timing.p50_ms for timing in card.timings])
    # Relative errors count alike: weighted by 1/ms, or the largest batch alone would decide.
    slope, intercept = np.polyfit(tokens, p50_ms, 1, w=1 / p50_ms)
    return Line(max(0.0, float(intercept)), max(1e-4, float(slope)))


class CostLine:
    """A line fitted by least squares with exponential forgetting, robust to outliers.

    Not thread-safe: it belongs to one event loop.
    """

    def __init__(self, seed: Line) -> None:
        self.begin(seed)

    def begin(self, seed: Line) -> None:
        """Expect `seed`, and forget the calls so far: they say nothing of those to come."""
        self.line = seed
        self._seed = seed
        self._calls = 0
        self._mean_tokens = 128.0
        self._mean_ms = seed.ms(self._mean_tokens)
        self._variance = 0.0
        self._covariance = 0.0
        self._residual_ms = FIRST_RESIDUAL * self._mean_ms

    def predict_ms(self, tokens: float) -> float:
        """Predicted time of a call of so many tokens."""
        return self.line.ms(tokens)

    def scale(self, factor: float) -> None:
        """Expect calls to take `factor` times as long: another engine answers from now on."""
        self._seed, self.line = _times(self._seed, factor), _times(self.line, factor)
        self._mean_ms *= factor
        self._covariance *= factor
        self._residual_ms *= factor

    def observe(self, tokens: int, took_ms: float) -> None:
        """Learn from a call of `tokens` tokens that took `took_ms`."""
        residual = took_ms - self.line.ms(tokens)
        limit = CLIP_RESIDUALS * self._residual_ms
        clipped = max(-limit, min(limit, residual))
        self._calls += 1
        weight = max(1 / MEMORY_CALLS, 1 / (self._calls + SEED_CALLS))
        # Larger than the clipped one, so that the scale grows when the whole level has moved.
        bounded = min(abs(residual), 2 * limit)
        self._residual_ms += weight * (bounded - self._residual_ms)
        self._residual_ms = max(self._residual_ms, 0.01 * self._mean_ms)
        self._move_to(tokens, self.line.ms(tokens) + clipped, weight)

    def _move_to(self, tokens: int, ms: float, weight: float) -> None:
        """Weighted running means and moments (West 1979), then the line through them."""
        tokens_off, ms_off = tokens - self._mean_tokens, ms - self._mean_ms
        self._mean_tokens += weight * tokens_off
        self._mean_ms += weight * ms_off
        self._variance = (1 - weight) * (self._variance + weight * tokens_off**2)
        self._covariance = (1 - weight) * (self._covariance + weight * tokens_off * ms_off)
        prior = SLOPE_PRIOR_TOKENS**2
        prior_slope = self._seed.ms_per_token * self._mean_ms / self._seed.ms(self._mean_tokens)
        slope = (self._covariance + prior * prior_slope) / (self._variance + prior)
        # Never through the origin from below, and never flat: more tokens always cost more.
        slope = min(max(slope, prior_slope / 10), self._mean_ms / self._mean_tokens)
        self.line = Line(max(0.0, self._mean_ms - slope * self._mean_tokens), slope)


def _times(line: Line, factor: float) -> Line:
    return Line(line.overhead_ms * factor, line.ms_per_token * factor)

"""Find the highest Poisson rate that a service carries within its budget.

The search knows nothing of HTTP: it asks a callable for the verdict at one rate, grows the rate
until one fails, and halves the gap between the two until it is within the precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table

from loadtest.errors import WrongPlan
from loadtest.percentiles import finite
from loadtest.verdict import MISS_SHARE, Verdict

GROWTH = 1.5
SHRINKING = 0.5

Limit = Literal["service", "generator", "max_rate"]


@dataclass(frozen=True)
class Probe:
    """One run at one rate, and whether the rate held in it."""

    rate_per_second: float
    verdict: Verdict

    @property
    def valid(self) -> bool:
        """Whether the generator kept its schedule, so that the run tells of the service."""
        return self.verdict.valid

    @property
    def holds(self) -> bool:
        """At most one request in a hundred missed the budget, in a valid run."""
        return self.valid and self.verdict.n > 0 and self._missed_share <= MISS_SHARE

    @property
    def _missed_share(self) -> float:
        return self.verdict.over / self.verdict.n

    def line(self) -> str:
        """One line for people."""
        said = "holds" if self.holds else "does not hold" if self.valid else "is invalid"
        return f"{self.rate_per_second:.1f}/s {said}: {self.verdict.line()}"


@dataclass(frozen=True)
class Capacity:
    """The highest rate that held, and what kept a higher one from holding.

    `rate_per_second` is 0 where no rate held. With `limited_by` "generator" or "max_rate" the
    service may carry more.
    """

    rate_per_second: float
    limited_by: Limit
    probes: tuple[Probe, ...]

    @property
    def exit_code(self) -> int:
        """0 for a rate found, 1 for none, 3 where that was the generator's doing."""
        if self.rate_per_second:
            return 0
        return 3 if self.limited_by == "generator" else 1

    @property
    def generator_reasons(self) -> list[str]:
        """What the invalid runs said, each thing once."""
        invalid = [probe.verdict for probe in self.probes if not probe.valid]
        return list(dict.fromkeys(reason for verdict in invalid for reason in verdict.reasons))

    def line(self) -> str:
        """One line for scripts."""
        best = next((p for p in reversed(self.probes) if p.holds and self._is_best(p)), None)
        p99 = f" p99_ms={best.verdict.p99_ms:.1f}" if best else ""
        rate = f"{self.rate_per_second:.1f}"
        return f"CAPACITY rate={rate}{p99} limited_by={self.limited_by} probes={len(self.probes)}"

    def as_dict(self) -> dict[str, Any]:
        """Everything, in JSON's types; a P99 that is infinite is null."""
        return {
            "rate_per_second": self.rate_per_second,
            "limited_by": self.limited_by,
            "generator_reasons": self.generator_reasons,
            "probes": [
                {
                    "rate_per_second": probe.rate_per_second,
                    "holds": probe.holds,
                    "outcome": probe.verdict.outcome,
                    "p99_ms": finite(probe.verdict.p99_ms),
                    "n": probe.verdict.n,
                    "over": probe.verdict.over,
                    "reasons": probe.verdict.reasons,
                }
                for probe in self.probes
            ],
        }

    def _is_best(self, probe: Probe) -> bool:
        return probe.rate_per_second == self.rate_per_second


def find_capacity(
    run: Callable[[float], Verdict],
    start_rate: float,
    precision: float = 0.05,
    *,
    confirm_failures: bool = True,
    max_rate: float = 20_000.0,
    min_rate: float = 1.0,
    on_probe: Callable[[Probe], None] | None = None,
) -> Capacity:
    """Search for the highest rate that holds, by growth and bisection.

    A rate holds when at most 1 % of its requests missed the budget in a valid run. An invalid run
    is repeated once. So is one that fails, with `confirm_failures`, because one noisy second on a
    shared machine fails a run of ten; near the edge, a rate then has two chances to hold.

    Args:
        run: offers a rate in requests per second and judges what came of it.
        start_rate: where the search begins, in requests per second.
        precision: how far the lowest rate that failed may lie above the highest that held.
        max_rate, min_rate: where growing and halving give up.
        on_probe: is handed each run as it ends.

    Raises:
        WrongPlan: a rate or the precision is out of range.
    """
    if not 0 < min_rate <= start_rate <= max_rate:
        raise WrongPlan("start_rate", f"is {start_rate:g}, not {min_rate:g} to {max_rate:g}")
    if not 0 < precision < 1:
        raise WrongPlan("precision", f"is {precision:g}, not between 0 and 1")
    search = _Search(run, confirm_failures, on_probe or (lambda probe: None))
    low, high = search.bracket(start_rate, min_rate, max_rate)
    while high is not None and low and high / low > 1 + precision:
        middle = math.sqrt(low * high)
        if search.holds(middle):
            low = middle
        else:
            high = middle
    limited_by = "max_rate" if high is None else search.limit_at(high)
    return Capacity(low, limited_by, tuple(search.probes))


class _Search:
    """Runs probes and keeps them."""

    def __init__(
        self,
        run: Callable[[float], Verdict],
        confirm_failures: bool,
        on_probe: Callable[[Probe], None],
    ) -> None:
        self.probes: list[Probe] = []
        self._run = run
        self._confirm_failures = confirm_failures
        self._on_probe = on_probe

    def bracket(
        self, start_rate: float, min_rate: float, max_rate: float
    ) -> tuple[float, float | None]:
        """A rate that holds (0: none) and one above it that does not (None: `max_rate` held)."""
        rate = start_rate
        if self.holds(rate):
            while rate < max_rate:
                above = min(rate * GROWTH, max_rate)
                if not self.holds(above):
                    return rate, above
                rate = above
            return rate, None
        while rate > min_rate:
            below = max(rate * SHRINKING, min_rate)
            if self.holds(below):
                return below, rate
            rate = below
        return 0.0, rate

    def holds(self, rate: float) -> bool:
        """Whether a rate holds in its first run or, where that counts, in its second."""
        probe = self._probe(rate)
        if not probe.holds and (self._confirm_failures or not probe.valid):
            probe = self._probe(rate)
        return probe.holds

    def limit_at(self, rate: float) -> Limit:
        """Who kept a rate from holding: the generator only if no run at it was valid."""
        valid = any(probe.valid for probe in self.probes if probe.rate_per_second == rate)
        return "service" if valid else "generator"

    def _probe(self, rate: float) -> Probe:
        probe = Probe(rate, self._run(rate))
        self.probes.append(probe)
        self._on_probe(probe)
        return probe


def capacity_table(capacity: Capacity) -> Table:
    """The probes in the order of their rates, for a terminal."""
    limited_by = capacity.limited_by.replace("_", " ")
    title = f"capacity {capacity.rate_per_second:.1f} requests/s, limited by the {limited_by}"
    at_the_end = capacity.generator_reasons[-1] if capacity.limited_by == "generator" else None
    table = Table(title=title, caption=at_the_end, caption_justify="left")
    for heading in ("requests/s", "holds", "P99 ms", "requests", "over", "refused", "verdict"):
        table.add_column(heading, justify="right")
    for probe in sorted(capacity.probes, key=lambda probe: probe.rate_per_second):
        verdict = probe.verdict
        table.add_row(
            f"{probe.rate_per_second:.1f}",
            "yes" if probe.holds else "no",
            f"{verdict.p99_ms:.1f}",
            str(verdict.n),
            str(verdict.over),
            str(verdict.refused),
            verdict.outcome,
        )
    return table

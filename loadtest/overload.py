"""Offer a service more than it can carry and see what it still does.

Overload is survived when the work accepted is answered in time, the amount of it stays close to
capacity, and refusing the rest costs next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from rich.table import Table

from loadtest.kinds import BULK_KINDS
from loadtest.percentiles import finite, percentile
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.verdict import Verdict

GOODPUT_SHARE = 0.9
REFUSAL_P99_MS = 5.0

Outcome = Literal["OK", "FAIL", "INVALID"]


@dataclass(frozen=True)
class Step:
    """What came of one rate. Rates are per second, times of refusals NaN where there were none.

    `accepted_p99_ms` is over everything of interactive kinds that was not refused, from the
    scheduled send; errors and timeouts count as infinitely late. Refusals are timed twice: from the
    actual send, which is what the service took, and from the scheduled one, which adds the
    generator's own lag.
    """

    factor: float
    rate_per_second: float
    offered_per_second: float
    goodput_per_second: float
    offered: int
    late: int
    refused: int
    errors: int
    timeouts: int
    accepted_p99_ms: float
    refusal_p50_ms: float
    refusal_p99_ms: float
    refusal_scheduled_p50_ms: float
    refusal_scheduled_p99_ms: float
    valid: bool
    generator_reasons: tuple[str, ...]

    @property
    def refused_share(self) -> float:
        """Refused over offered."""
        return self.refused / self.offered if self.offered else 0.0

    def failures(self, capacity_rate: float, budget_ms: float) -> list[str]:
        """In words, what overload broke; empty if nothing."""
        at = f"at {self.factor:g} times capacity"
        goodput_share = self.goodput_per_second / capacity_rate
        found = []
        if not self.accepted_p99_ms < budget_ms:
            found.append(
                f"{at}, the P99 of what was accepted is {self.accepted_p99_ms:.1f} ms, "
                f"not under {budget_ms:g}"
            )
        if goodput_share < GOODPUT_SHARE:
            found.append(
                f"{at}, goodput is {self.goodput_per_second:.1f}/s, {goodput_share:.0%} of "
                f"capacity, under {GOODPUT_SHARE:.0%}"
            )
        if self.refusal_p99_ms >= REFUSAL_P99_MS:
            found.append(
                f"{at}, the P99 of refusing is {self.refusal_p99_ms:.1f} ms, "
                f"not under {REFUSAL_P99_MS:g}"
            )
        return found


@dataclass(frozen=True)
class Overload:
    """All steps, and whether the service stood them."""

    capacity_rate_per_second: float
    budget_ms: float
    steps: tuple[Step, ...]

    @property
    def failures(self) -> list[str]:
        """What overload broke in the valid runs."""
        return [
            reason
            for step in self.steps
            if step.valid
            for reason in step.failures(self.capacity_rate_per_second, self.budget_ms)
        ]

    @property
    def generator_reasons(self) -> list[str]:
        """Why runs are invalid."""
        return [
            f"at {step.factor:g} times capacity, {reason}"
            for step in self.steps
            if not step.valid
            for reason in step.generator_reasons or ("the generator was the limit",)
        ]

    @property
    def outcome(self) -> Outcome:
        """FAIL if a valid run failed, INVALID if none did but one was invalid, else OK."""
        if self.failures:
            return "FAIL"
        return "INVALID" if self.generator_reasons else "OK"

    @property
    def exit_code(self) -> int:
        """0 for OK, 1 for FAIL, 3 for INVALID, as the verdict has them."""
        return {"OK": 0, "FAIL": 1, "INVALID": 3}[self.outcome]

    def line(self) -> str:
        """One line for scripts, with the worst figure of all steps."""
        p99 = max(step.accepted_p99_ms for step in self.steps)
        goodput = min(step.goodput_per_second for step in self.steps)
        refusals = [s.refusal_p99_ms for s in self.steps if not math.isnan(s.refusal_p99_ms)]
        refusal = f"{max(refusals):.1f}" if refusals else "-"
        return (
            f"OVERLOAD {self.outcome} accepted_p99_ms={p99:.1f} "
            f"goodput={goodput / self.capacity_rate_per_second:.2f} refusal_p99_ms={refusal} "
            f"capacity={self.capacity_rate_per_second:.1f}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Everything, in JSON's types; what is infinite or was not seen is null."""
        return {
            "outcome": self.outcome,
            "reasons": [*self.failures, *self.generator_reasons],
            "capacity_rate_per_second": self.capacity_rate_per_second,
            "budget_ms": self.budget_ms,
            "steps": [
                {name: _for_json(value) for name, value in asdict(step).items()}
                for step in self.steps
            ],
        }


def run_overload(
    run: Callable[[float], tuple[Records, Verdict]],
    capacity_rate: float,
    factors: Sequence[float] = (1, 2, 3),
    budget_ms: float = 50.0,
    *,
    on_step: Callable[[Step], None] | None = None,
) -> Overload:
    """Offer multiples of a capacity, one after another.

    Args:
        run: offers a rate in requests per second; gives the records without the warm-up, and the
            verdict, of which only INVALID matters here.
        capacity_rate: the yardstick, in requests per second.
        factors: the multiples.
        budget_ms: what an answer of an interactive kind may take to count as goodput; bulk kinds
            count whatever they take.
        on_step: is handed each step as it ends.

    Raises:
        ValueError: the capacity is not above 0, or there are no factors.
    """
    if capacity_rate <= 0 or not factors:
        raise ValueError("overload needs a capacity above 0 and at least one factor")
    steps = []
    for factor in factors:
        rate = factor * capacity_rate
        records, verdict = run(rate)
        steps.append(measure_step(factor, rate, records, verdict, budget_ms))
        if on_step:
            on_step(steps[-1])
    return Overload(capacity_rate, budget_ms, tuple(steps))


def measure_step(
    factor: float,
    rate: float,
    records: Records,
    verdict: Verdict,
    budget_ms: float,
) -> Step:
    """Count and time the records of one run, warm-up dropped."""
    outcome, offered = records.outcome, len(records)
    bulk = records.is_kind(BULK_KINDS)
    latency_ms, service_ms = records.latency_us / 1e3, records.service_us / 1e3
    ok, refused = outcome == OK, outcome == REFUSED
    late = ok & ~bulk & (latency_ms > budget_ms)
    accepted_ms = np.where(ok, latency_ms, np.inf)[~refused & ~bulk]
    per_second = _offered_per_second(records)
    goodput = per_second * np.count_nonzero(ok & ~late) / max(offered, 1)
    return Step(
        factor=factor,
        rate_per_second=rate,
        offered_per_second=per_second,
        goodput_per_second=float(goodput),
        offered=offered,
        late=int(np.count_nonzero(late)),
        refused=int(np.count_nonzero(refused)),
        errors=int(np.count_nonzero(outcome == ERROR)),
        timeouts=int(np.count_nonzero(outcome == TIMEOUT)),
        accepted_p99_ms=percentile(accepted_ms, 99) if accepted_ms.size else math.inf,
        refusal_p50_ms=percentile(service_ms[refused], 50),
        refusal_p99_ms=percentile(service_ms[refused], 99),
        refusal_scheduled_p50_ms=percentile(latency_ms[refused], 50),
        refusal_scheduled_p99_ms=percentile(latency_ms[refused], 99),
        valid=verdict.valid,
        generator_reasons=() if verdict.valid else tuple(verdict.reasons),
    )


def overload_table(overload: Overload) -> Table:
    """One column a step, for a terminal."""
    reasons = [*overload.failures, *overload.generator_reasons]
    table = Table(
        title=f"overload of {overload.capacity_rate_per_second:.1f} requests/s: {overload.outcome}",
        caption="\n".join(reasons) or None,
        caption_justify="left",
    )
    table.add_column("times the capacity")
    for step in overload.steps:
        table.add_column(f"{step.factor:g}", justify="right")
    columns = [_cells(step, overload.capacity_rate_per_second) for step in overload.steps]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def _cells(step: Step, capacity_rate: float) -> dict[str, str]:
    return {
        "offered/s": f"{step.offered_per_second:.1f}",
        "goodput/s": f"{step.goodput_per_second:.1f}",
        "goodput of capacity": f"{step.goodput_per_second / capacity_rate:.0%}",
        "accepted P99 ms": _shown(step.accepted_p99_ms),
        "late": f"{step.late:,}",
        "timeouts": f"{step.timeouts:,}",
        "errors": f"{step.errors:,}",
        "refused": f"{step.refused_share:.1%}",
        "refusal P50 ms": _shown(step.refusal_p50_ms),
        "refusal P99 ms": _shown(step.refusal_p99_ms),
        "refusal P99 ms, from schedule": _shown(step.refusal_scheduled_p99_ms),
        "generator": "kept up" if step.valid else "lagged",
    }


def _offered_per_second(records: Records) -> float:
    """Rate at which requests were scheduled, from the first to the last."""
    if len(records) < 2:
        return 0.0
    span_us = int(records.scheduled_us.max() - records.scheduled_us.min())
    return (len(records) - 1) * 1e6 / max(span_us, 1)


def _shown(value_ms: float) -> str:
    return "-" if math.isnan(value_ms) else f"{value_ms:.1f}"


def _for_json(value: Any) -> Any:
    return finite(value) if isinstance(value, float) else value

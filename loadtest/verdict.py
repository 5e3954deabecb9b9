"""Does the service keep its promise? A yes or a no with statistics behind it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from loadtest.binomial import at_least, at_most
from loadtest.kinds import BULK_KINDS
from loadtest.percentiles import finite, percentile
from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records

PASS = "PASS"  # noqa: S105
FAIL = "FAIL"
INVALID = "INVALID"
INCONCLUSIVE = "INCONCLUSIVE"
EXIT_CODES = {PASS: 0, FAIL: 1, INVALID: 3, INCONCLUSIVE: 4}

# The promise is about the 99th percentile: one request in a hundred may miss.
MISS_SHARE = 0.01
# And it has to be known with 99 % confidence, as MLPerf's server rule asks.
DOUBT = 0.01

# A request that leaves late is charged with its lateness, which makes a busy generator look like a
# slow service. A fifth of the usual budget of 50 ms is still noise; more of it for more than one
# request in a hundred could move the P99 itself.
MAX_LAG_MS = 10.0
MAX_LAGGING_SHARE = 0.01
# Fewer requests than this share of the plan is another, lighter load.
LEAST_RATE_SHARE = 0.98
# A Poisson process's number of arrivals varies by its square root; four times that is no luck.
RATE_NOISE = 4.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run showed.

    `n` requests were judged, `over` of them missed: answered over budget (`late`), refused, failed
    (`errors`) or given up (`timeouts`). `p99_ms` is over the n requests with every one that was
    not answered as infinitely late. `rate_per_second` is what was offered, bulk included.
    """

    outcome: str
    p99_ms: float
    n: int
    over: int
    late: int
    refused: int
    errors: int
    timeouts: int
    rate_per_second: float
    reasons: list[str] = field(default_factory=list)

    @property
    def valid(self) -> bool:
        """Whether the generator kept its schedule, so that the run tells of the service."""
        return self.outcome != INVALID

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INVALID, 4 INCONCLUSIVE."""
        return EXIT_CODES[self.outcome]

    def line(self) -> str:
        """The verdict on one line, for logs and scripts."""
        return (
            f"VERDICT {self.outcome} p99_ms={self.p99_ms:.2f} n={self.n} over={self.over} "
            f"refused={self.refused} errors={self.errors} timeouts={self.timeouts} "
            f"rate={self.rate_per_second:.1f}"
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON: an infinite P99, which JSON cannot hold, becomes null."""
        return asdict(self) | {"p99_ms": finite(self.p99_ms), "exit_code": self.exit_code}


def judge(records: Records, plan: Plan) -> Verdict:
    """Judge a run by the requests that were scheduled after the warm-up.

    Every interactive request counts, and every bulk one that got no answer: the budget does not
    cover bulk requests, but losing one is a miss. PASS and FAIL are one-sided binomial tests of
    "at most one in a hundred misses", each at 99 % confidence; for PASS that is the rule of
    MLPerf Inference (no miss in 459, 10 in 2,010, 50 in 6,898, 100 in 12,571).
    """
    measured = records.measured(plan.warm_up_seconds)
    answered = measured.outcome == OK
    judged = measured.where(~measured.is_kind(BULK_KINDS) | ~answered)
    n = len(judged)
    late = int(np.sum((judged.outcome == OK) & (judged.latency_us > plan.budget_ms * 1000)))
    refused, errors, timeouts = (
        int(np.sum(judged.outcome == outcome)) for outcome in (REFUSED, ERROR, TIMEOUT)
    )
    over = late + refused + errors + timeouts
    outcome, reason = _decide(n, over)
    faults = _generator_faults(measured, plan)
    return Verdict(
        outcome=INVALID if faults else outcome,
        p99_ms=p99_ms(judged),
        n=n,
        over=over,
        late=late,
        refused=refused,
        errors=errors,
        timeouts=timeouts,
        rate_per_second=len(measured) / plan.duration_seconds,
        reasons=faults or [reason],
    )


def p99_ms(records: Records) -> float:
    """99th percentile of latency in ms, by nearest rank; what was not answered is infinitely late.

    NaN where there is no request.
    """
    latency_ms = np.where(records.outcome == OK, records.latency_us / 1000, np.inf)
    return percentile(latency_ms, 100 * (1 - MISS_SHARE))


def passes(n: int, over: int) -> bool:
    """Whether `over` misses in `n` requests show, at 99 % confidence, that P99 is under budget."""
    return at_most(over, n, MISS_SHARE) <= DOUBT


def fails(n: int, over: int) -> bool:
    """Whether `over` misses in `n` requests show, at 99 % confidence, that P99 is over budget."""
    return at_least(over, n, MISS_SHARE) <= DOUBT


def requests_to_pass(over: int) -> int:
    """The fewest requests among which `over` misses pass."""
    low, high = over, over + 1
    while not passes(high, over):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle, over) else (middle, high)
    return high


def _decide(n: int, over: int) -> tuple[str, str]:
    seen = f"{over:,} of {n:,} requests missed"
    if passes(n, over):
        return PASS, f"{seen}: at most 1 % do, at 99 % confidence"
    if fails(n, over):
        return FAIL, f"{seen}: more than 1 % do, at 99 % confidence"
    more = requests_to_pass(over) - n
    return INCONCLUSIVE, (
        f"{seen}: too few requests to tell; {more:,} more without a further miss would pass"
    )


def _generator_faults(measured: Records, plan: Plan) -> list[str]:
    faults = []
    n = len(measured)
    lagging = int(np.sum(measured.lag_us > MAX_LAG_MS * 1000))
    if lagging > MAX_LAGGING_SHARE * n:
        faults.append(
            f"the generator sent {lagging:,} of {n:,} requests over {MAX_LAG_MS:g} ms late: "
            "it needs more processor time, or a machine of its own"
        )
    planned = plan.rate_per_second * plan.duration_seconds
    in_time = int(np.sum(measured.sent_us <= plan.total_seconds * 1e6 + MAX_LAG_MS * 1000))
    if in_time < planned * LEAST_RATE_SHARE - RATE_NOISE * math.sqrt(planned):
        faults.append(
            f"the generator sent {in_time / plan.duration_seconds:.1f} requests a second "
            f"of the planned {plan.rate_per_second:g}"
        )
    return faults

"""What the server itself measured during a run, to hold against what its clients saw.

A client sees more than a server: the way there and back, and whatever waits before the server's
clock starts. Where both agree, the service's own dashboards can be trusted.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from urllib.request import urlopen

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from loadtest.kinds import BULK_KINDS
from loadtest.records import OK, Records

HISTOGRAM = "sub50_request_duration_seconds"
READ_SECONDS = 5.0
# Shares further apart than this are worth a look at what lies between client and server.
AGREEMENT = 0.005


@dataclass(frozen=True, slots=True)
class Counts:
    """Interactive requests that a server has counted since its start, and those in time."""

    requests: float
    in_time: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Shares of a run's interactive requests that were not answered within the budget.

    `client` counts from the actual send, warm-up included, as the server has it.
    """

    server: float
    client: float
    requests: int

    @property
    def agree(self) -> bool:
        """Whether they are no further apart than half a point."""
        return abs(self.server - self.client) <= AGREEMENT

    def line(self) -> str:
        """For people."""
        return (
            f"not answered in time: {100 * self.server:.2f} % by the server's own histogram "
            f"({self.requests:,} requests), {100 * self.client:.2f} % by the clients'"
        )


def read_counts(host: str, budget_ms: float) -> Counts | None:
    """The counts at `host`/metrics; None where no such histogram is, or none with that edge."""
    try:
        with urlopen(f"{host.rstrip('/')}/metrics", timeout=READ_SECONDS) as response:  # noqa: S310
            text = response.read().decode()
        families = list(text_string_to_metric_families(text))
    except (OSError, ValueError, http.client.HTTPException):
        return None
    samples = [
        sample
        for family in families
        if family.name == HISTOGRAM
        for sample in family.samples
        if sample.labels.get("class") == "interactive"
    ]
    edge = [s for s in samples if float(s.labels.get("le", "nan")) * 1000 == budget_ms]
    if not edge and samples:
        return None
    return Counts(
        requests=sum(s.value for s in samples if s.name == f"{HISTOGRAM}_count"),
        in_time=sum(s.value for s in edge if s.labels["status"] == "200"),
    )


def compare(
    before: Counts | None, after: Counts | None, records: Records, budget_ms: float
) -> Comparison | None:
    """Hold the growth of a server's counts against a run's records; None where it has none."""
    if before is None or after is None or after.requests <= before.requests:
        return None
    interactive = records.where(~records.is_kind(BULK_KINDS))
    in_time = (interactive.outcome == OK) & (interactive.service_us <= budget_ms * 1000)
    requests = after.requests - before.requests
    return Comparison(
        server=1 - (after.in_time - before.in_time) / requests,
        client=1 - float(np.mean(in_time)),
        requests=round(requests),
    )

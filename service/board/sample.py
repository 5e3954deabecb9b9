"""One reading of the metrics that the board shows."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from prometheus_client import Counter, Gauge

from service.board.buckets import Buckets
from service.metrics import Metrics

# Model, class and status of requests.
RequestKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was counted from the start of the service to the moment `at`, on the monotonic clock.

    Times in seconds; `refused` by reason, `stages` by stage, and `restarts` of Triton by reason:
    none where it is not the service's own. The fields from `inflight` on are as they were at that
    moment.
    """

    at: float
    requests: dict[RequestKey, Buckets]
    stages: dict[str, Buckets]
    refused: dict[str, int]
    call_rows: Buckets
    padding: Buckets
    restarts: dict[str, int]
    inflight: int
    backlog: float
    margin: float
    loop_lag: float


async def read_sample(metrics: Metrics) -> Sample:
    """Read the metrics, and let requests go first after every series.

    All of them at once would hold up the event loop for milliseconds where there are many models.
    """
    at = time.monotonic()
    requests: dict[RequestKey, Buckets] = {}
    for (_, model, request_class, status), series in metrics.all_request_series():
        key = (model, request_class, status)
        read = Buckets.of(series)
        requests[key] = requests[key] + read if key in requests else read
        await asyncio.sleep(0)
    stages: dict[str, Buckets] = {}
    for stage, series in metrics.all_stage_series():
        stages[stage] = Buckets.of(series)
        await asyncio.sleep(0)
    call_rows = Buckets.of(metrics.call_rows)
    await asyncio.sleep(0)
    return Sample(
        at=at,
        requests=requests,
        stages=stages,
        refused=_by_label(metrics.refused, "reason"),
        call_rows=call_rows,
        padding=Buckets.of(metrics.padding_ratio),
        restarts=_by_label(metrics.triton_restarts, "reason"),
        inflight=round(_value(metrics.inflight)),
        backlog=_value(metrics.backlog),
        margin=_value(metrics.margin),
        loop_lag=_value(metrics.loop_lag),
    )


def _by_label(counter: Counter, label: str) -> dict[str, int]:
    (family,) = counter.collect()
    totals = [sample for sample in family.samples if sample.name.endswith("_total")]
    return {sample.labels[label]: round(sample.value) for sample in totals}


def _value(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return family.samples[0].value

"""The history as the board's JSON has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.board.buckets import Buckets
from service.board.history import P50, P99, History, Point
from service.board.sample import Sample
from service.board.schema import (
    BoardEngine,
    Calls,
    Charts,
    Now,
    Restarts,
    Stage,
    Traffic,
    Window,
)
from service.board.tally import Tally, since
from service.models import ServedModel
from service.readiness import Readiness

STAGES = ("admit", "tokenize", "infer", "postprocess")


def window_of(history: History, seconds: float, promise_ms: float, models: Sequence[str]) -> Window:
    """What happened in the last `seconds`, in all and by model."""
    later = history.latest
    earlier = history.before(seconds)
    requests = since(earlier.requests, later.requests)
    interactive = Tally.of(requests, request_class="interactive")
    refused = {
        reason: count - earlier.refused.get(reason, 0) for reason, count in later.refused.items()
    }
    return Window(
        seconds=seconds,
        covered_seconds=round(later.at - earlier.at, 3),
        interactive=_traffic(interactive, promise_ms),
        bulk=_traffic(Tally.of(requests, request_class="bulk")),
        models={name: _traffic(Tally.of(requests, model=name)) for name in models},
        refused={reason: count for reason, count in refused.items() if count},
        stages=_stages(earlier, later),
        calls=_calls(later.call_rows - earlier.call_rows, later.padding - earlier.padding),
    )


def _traffic(tally: Tally, promise_ms: float | None = None) -> Traffic:
    missed = None if promise_ms is None else tally.missed(promise_ms / 1000)
    return Traffic(
        requests=tally.requests,
        answered=tally.answered.count,
        refused=tally.refused,
        failed=tally.failed,
        other=tally.other,
        p50_ms=_ms(tally.answered.quantile(P50)),
        p99_ms=_ms(tally.answered.quantile(P99)),
        missed=None if missed is None else round(missed, 3),
    )


def _stages(earlier: Sample, later: Sample) -> list[Stage]:
    stages = []
    for name in STAGES:
        if name not in later.stages:
            continue
        buckets = later.stages[name]
        if name in earlier.stages:
            buckets -= earlier.stages[name]
        mean, p50, p99 = buckets.mean(), buckets.quantile(P50), buckets.quantile(P99)
        if mean is None or p50 is None or p99 is None:
            continue
        stages.append(
            Stage(
                stage=name,
                count=buckets.count,
                mean_ms=round(1000 * mean, 3),
                p50_ms=round(1000 * p50, 3),
                p99_ms=round(1000 * p99, 3),
            )
        )
    return stages


def _calls(rows: Buckets, padding: Buckets) -> Calls:
    mean_rows, padding_ratio = rows.mean(), padding.mean()
    return Calls(
        count=rows.count,
        mean_rows=None if mean_rows is None else round(mean_rows, 3),
        padding_ratio=None if padding_ratio is None else round(padding_ratio, 3),
        edges=[round(edge) for edge in rows.edges],
        rows=[round(count) for count in rows.counts.tolist()],
    )


def now_of(sample: Sample) -> Now:
    """How things stood when the sample was taken."""
    return Now(
        inflight=sample.inflight,
        backlog_ms=round(1000 * sample.backlog, 3),
        margin_ms=round(1000 * sample.margin, 3),
        loop_lag_ms=round(1000 * sample.loop_lag, 3),
    )


def restarts_of(history: History, clock: Callable[[float], str]) -> Restarts | None:
    """Restarts of Triton until the newest sample; `clock` writes a moment out for people."""
    counts, last = history.latest.restarts, history.last_restart
    if not counts:
        return None
    return Restarts(
        reasons={reason: count for reason, count in counts.items() if count},
        last_reason=None if last is None else last.reason,
        last_at=None if last is None else clock(last.at),
    )


def charts_of(points: Sequence[Point], newest: float) -> Charts:
    """The points by column; `newest` is the time of the newest sample."""
    return Charts(
        ago_seconds=[round(newest - point.at, 1) for point in points],
        seconds=[round(point.seconds, 1) for point in points],
        interactive_per_second=[round(p.interactive / p.seconds, 3) for p in points],
        bulk_per_second=[round(p.bulk / p.seconds, 3) for p in points],
        refused_per_second=[round(p.refused / p.seconds, 3) for p in points],
        p50_ms=[_ms(point.p50) for point in points],
        p99_ms=[_ms(point.p99) for point in points],
    )


def engine_of(model: ServedModel, readiness: Readiness | None) -> BoardEngine:
    """A model as it is served now, and what it said when it was last asked."""
    card = model.card
    asked = readiness is not None and card.name in readiness.models
    fault = readiness.faults.get(card.name) if readiness is not None else None
    return BoardEngine(
        name=card.name,
        task=card.task,
        version=card.version,
        precision=card.precision,
        backend=card.backend,
        answers=fault is None if asked else None,
        fault=fault,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)

"""Cards with figures of speed, as timing and tuning write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from core.card import EngineCard, Hardware, Timing, Tuning, Verdict, write_card
from engines.runtimes import Candidate
from engines.tune_measure import Measurement, Point
from engines.tune_report import Tuned
from tests.tiny import card

INTEL = Hardware(processor="Intel(R) Xeon(R) Platinum 8488C", cores=8, memory_bytes=16 * 2**30)
AMD = Hardware(processor="AMD EPYC 9R14", cores=8, memory_bytes=16 * 2**30)
WAY = Candidate("onnxruntime", "INT8", 4, 2)
OTHER = Candidate("onnxruntime", "FP32", 4, 2)
# Texts/s and P99 in ms at batches of 1, 2, 4, 8. By hand: 1,000 texts/s are the best under 25 ms.
POINTS = ((400.0, 5.0), (700.0, 9.0), (1000.0, 20.0), (2000.0, 26.0))
PASS = Verdict(passed=True, reasons=[])


def timed(hardware: Hardware | None, name: str = "sentiment", machine: str = "none") -> EngineCard:
    """A card as a build leaves it: one thread, 300 texts/s at best."""
    timings = [
        Timing(
            batch=batch, tokens=tokens, threads=1, p50_ms=1.0, p99_ms=30.0, texts_per_second=rate,
            reference_p50_ms=2.0,
        )
        for batch, tokens, rate in ((1, 32, 250.0), (8, 32, 300.0), (8, 128, 70.0))
    ]  # fmt: skip
    return card(name, timings=timings, hardware=hardware, machine=machine)


def tuned(
    hardware: Hardware | None,
    points: Sequence[tuple[float, float]] = POINTS,
    name: str = "sentiment",
    lengths: str = "25:0.7,128:0.3",
) -> EngineCard:
    """The same card once it was tuned: what the winner did, and a faster one that lost."""
    slow = Measurement(WAY, _points(points))
    fast = Measurement(OTHER, _points([(10 * rate, p99_ms) for rate, p99_ms in points]))
    found = Tuned(name, "1", lengths, [fast, slow], {WAY: PASS, OTHER: PASS}, WAY, 1.0, 0.05)
    tuning = Tuning(
        backend=WAY.backend,
        precision=WAY.precision,
        threads=WAY.threads,
        instances=WAY.instances,
        lengths=lengths,
        line_overhead_ms=1.0,
        line_ms_per_token=0.05,
        machine="none",
        hardware=hardware,
        tuned_at="2026-01-02T00:00:00Z",
        candidates=found.candidates(),
    )
    return timed(hardware, name).model_copy(update={"tuning": tuning})


def put(engine_card: EngineCard, repository: Path) -> Path:
    """Write a card where the repository has its version; returns the file."""
    folder = repository / engine_card.name / engine_card.version
    folder.mkdir(parents=True)
    write_card(engine_card, folder)
    return folder / "card.json"


def _points(found: Sequence[tuple[float, float]]) -> list[Point]:
    return [Point(2**place, rate, p99 / 2, p99, 100) for place, (rate, p99) in enumerate(found)]

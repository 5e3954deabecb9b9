"""How many texts a second the engine answers in process: the best that any server over it can do.

    .venv/bin/python -m benchmarks.engine_alone [--runtime onnxruntime|openvino] [--seconds S]

The texts are the load test's, tokenized before the clock starts. Batches of 1 to 32 are taken in
order of arrival or sorted by length, and padded to their longest text. A processor is shared out as
one process with one thread, one with two, or two with one each. The time of one text alone is the
median call at batch 1, without tokenizing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from core.tokenizer import TextTokenizer, pad
from engines.measure import feed, open_session
from engines.runtimes import has_openvino
from loadtest.texts import make_text

Feed = dict[str, np.ndarray[Any, np.dtype[np.int64]]]
Run = Callable[[Feed], object]
Order = Literal["arrival", "sorted"]

ENGINE = Path("model_repository/sentiment/1")
KINDS = ("sentence", "review")
TEXTS = 128
BATCHES = (1, 2, 4, 8, 16, 32)
# Fewer shapes for OpenVINO, and still less padding than up to a bucket.
ROUND_LENGTH = {"onnxruntime": 1, "openvino": 8}
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Layout:
    """How the processor is shared out."""

    runtime: str
    processes: int
    threads: int


@dataclass(frozen=True, slots=True)
class Point:
    """What one layout gave at one batch size."""

    kind: str
    layout: Layout
    batch: int
    order: Order
    texts_per_second: float
    """Of all processes together."""
    p50_ms: float
    """Of one call of the engine."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The best of the points of one kind of text."""

    kind: str
    best: Point
    one_text: Point
    """The layout whose one process answers a single text soonest."""


def runtimes() -> list[str]:
    """The runtimes that are installed."""
    return ["onnxruntime", *(["openvino"] if has_openvino() else [])]


def layouts(runtime: str) -> list[Layout]:
    """One process with one thread, one with all cores, and as many processes as cores."""
    cores = len(os.sched_getaffinity(0))
    shares = dict.fromkeys([(1, 1), (1, cores), (cores, 1)])
    return [Layout(runtime, processes, threads) for processes, threads in shares]


def measure_alone(
    kind: str, runtime: str, seconds: float = 1.0, engine: Path = ENGINE
) -> tuple[Alone, list[Point]]:
    """The best of one kind of text in one runtime, and all points.

    Args:
        kind: of the load test's texts, such as `sentence`.
        runtime: `onnxruntime` or `openvino`.
        seconds: for each point.
        engine: folder with `model.onnx` and `tokenizer.json`.
    """
    tokenizer = TextTokenizer(engine / "tokenizer.json")
    rows = [tokens.ids for tokens in tokenizer.encode(load_test_texts(kind))]
    points = [
        point for each in layouts(runtime) for point in points_of(kind, each, rows, seconds, engine)
    ]
    return Alone(kind, *best_points(points)), points


def load_test_texts(kind: str) -> list[str]:
    """The same texts of one kind in every run."""
    source = random.Random(f"0 {kind}")
    return [make_text(kind, source) for _ in range(TEXTS)]


def best_points(points: Iterable[Point]) -> tuple[Point, Point]:
    """The point of most texts a second, and of the soonest answer to a text alone."""
    points = list(points)
    alone = [point for point in points if point.batch == 1 and point.layout.processes == 1]
    most = max(points, key=lambda point: point.texts_per_second)
    return most, min(alone, key=lambda point: point.p50_ms)


def points_of(
    kind: str, layout: Layout, rows: list[list[int]], seconds: float, engine: Path
) -> list[Point]:
    """Every batch size and order in one layout; its processes begin each point together."""
    context = get_context("spawn")
    with context.Manager() as manager:
        barrier = manager.Barrier(layout.processes)
        with ProcessPoolExecutor(layout.processes, context) as pool:
            jobs = [
                pool.submit(work, layout, rows, seconds, engine, barrier)
                for _ in range(layout.processes)
            ]
            results = [job.result() for job in jobs]
    return [
        Point(
            kind,
            layout,
            batch,
            order,
            texts_per_second=sum(texts for texts, _ in each),
            p50_ms=float(np.median([p50_ms for _, p50_ms in each])),
        )
        for (batch, order), each in zip(batchings(), zip(*results, strict=True), strict=True)
    ]


def batchings() -> list[tuple[int, Order]]:
    """Batch sizes and orders; a batch of one has no order."""
    grouped: list[tuple[int, Order]] = [
        (batch, order) for batch in BATCHES[1:] for order in ("arrival", "sorted")
    ]
    return [(1, "arrival"), *grouped]


def work(
    layout: Layout, rows: list[list[int]], seconds: float, engine: Path, barrier: Barrier
) -> list[tuple[float, float]]:
    """In a process of its own: texts a second and the median call in ms, for each batching."""
    run = open_engine(layout, engine / "model.onnx")
    found = []
    for batch, order in batchings():
        feeds = batches_of(rows, batch, order, ROUND_LENGTH[layout.runtime])
        warm_up(run, feeds, layout.runtime)
        barrier.wait(START_SECONDS)
        found.append(timed(run, feeds, seconds))
    return found


def warm_up(run: Run, feeds: Sequence[Feed], runtime: str) -> None:
    """One call, or for OpenVINO, which makes kernels on meeting a shape, one for each shape."""
    by_shape = {each["input_ids"].shape: each for each in feeds}
    for inputs in list(by_shape.values())[: None if runtime == "openvino" else 1]:
        run(inputs)


def batches_of(rows: list[list[int]], batch: int, order: Order, multiple: int) -> list[Feed]:
    """The rows as padded batches, run in an order that mixes lengths."""
    rows = sorted(rows, key=len) if order == "sorted" else rows
    feeds = []
    for start in range(0, len(rows) - batch + 1, batch):
        chosen = rows[start : start + batch]
        length = -(-max(map(len, chosen)) // multiple) * multiple
        feeds.append(feed(*pad(chosen, length)))
    return [feeds[index] for index in np.random.default_rng(0).permutation(len(feeds))]


def timed(run: Run, feeds: Sequence[Feed], seconds: float) -> tuple[float, float]:
    """Texts a second over at least `seconds`, and the median call in ms."""
    taken: list[float] = []
    texts = 0
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        inputs = feeds[len(taken) % len(feeds)]
        run(inputs)
        taken.append(time.perf_counter() - now)
        texts += len(inputs["input_ids"])
    return texts / (time.perf_counter() - begun), float(np.median(taken)) * 1e3


def open_engine(layout: Layout, path: Path) -> Run:
    """The engine in the layout's runtime; OpenVINO reads the same INT8 file."""
    if layout.runtime == "onnxruntime":
        session = open_session(path, layout.threads)
        return lambda inputs: session.run(None, inputs)
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": layout.threads,
        # With bf16 the answers would move with the batch: docs/int8.md.
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": 1,
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": layout.processes == 1,
    }
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    request = compiled.create_infer_request()
    return lambda inputs: request.infer(inputs, share_inputs=True, share_outputs=True)


def show(points: Sequence[Point]) -> Table:
    """Texts a second at each batch, the better order; a row a layout."""
    table = Table("texts", "runtime", "processes x threads", "one text, P50 ms")
    for batch in BATCHES:
        table.add_column(f"batch {batch}", justify="right")
    for kind, layout in dict.fromkeys((point.kind, point.layout) for point in points):
        mine = [point for point in points if (point.kind, point.layout) == (kind, layout)]
        most = [
            max(point.texts_per_second for point in mine if point.batch == batch)
            for batch in BATCHES
        ]
        shares = f"{layout.processes} x {layout.threads}"
        alone = next(point.p50_ms for point in mine if point.batch == 1)
        table.add_row(
            kind, layout.runtime, shares, f"{alone:.2f}", *(f"{each:.0f}" for each in most)
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runtime", choices=["onnxruntime", "openvino"], action="append")
    parser.add_argument("--kind", action="append", help=f"of texts; default {', '.join(KINDS)}")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each point")
    parser.add_argument("--engine", type=Path, default=ENGINE, help="a model's version folder")
    parser.add_argument("--json", type=Path, help="write all points there")
    options = parser.parse_args()
    everything: list[Point] = []
    for kind in options.kind or KINDS:
        for runtime in options.runtime or runtimes():
            alone, points = measure_alone(kind, runtime, options.seconds, options.engine)
            everything += points
            best = alone.best
            print(
                f"{kind} in {runtime}: best {best.texts_per_second:.0f} texts/s "
                f"({best.layout.processes} x {best.layout.threads}, batch {best.batch}, "
                f"{best.order}), one text P50 {alone.one_text.p50_ms:.2f} ms",
                flush=True,
            )
    Console(width=140).print(show(everything))
    if options.json:
        options.json.write_text(json.dumps([asdict(point) for point in everything], indent=2))


if __name__ == "__main__":
    main()

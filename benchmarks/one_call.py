"""What a call to the embedded Triton costs us: by gRPC's library, and by our own connection.

    .venv/bin/python -m benchmarks.one_call [--model sentiment] [--rounds 5]

Starts a Triton and asks for one text of 25 tokens, both ways in turn: one call after the other,
with pauses, and eight side by side. Times are those of a call, engine and all; processor time and
switches between threads are those of the asking process, a call.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table
from tritonclient.grpc import service_pb2_grpc

from service.triton.client import CHANNEL_OPTIONS, TritonClient, infer_request
from service.triton.server import EmbeddedTriton

REPOSITORY = Path(__file__).resolve().parent.parent / "model_repository"
CALLS = 400
TIMEOUT_SECONDS = 5.0
IDS = np.full((1, 25), 1000, np.int64)
MASK = np.ones_like(IDS)
PAUSES_SECONDS = {"one after the other": 0.0, "with 5 ms between": 0.005}

Ask = Callable[[], Awaitable[object]]
Figures = dict[tuple[str, str], list[tuple[float, float, float]]]


def spent() -> tuple[float, float]:
    """Processor time of this process in ms, and how often a thread of it waited."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return 1000 * (usage.ru_utime + usage.ru_stime), usage.ru_nvcsw


async def one_after_the_other(ask: Ask, pause_seconds: float) -> tuple[float, float, float]:
    """Median time of a call in ms, processor time in ms, switches."""
    times_ms = []
    cpu_ms, switches = spent()
    for _ in range(CALLS):
        begun = time.perf_counter()
        await ask()
        times_ms.append(1000 * (time.perf_counter() - begun))
        if pause_seconds:
            await asyncio.sleep(pause_seconds)
    after_ms, after = spent()
    return statistics.median(times_ms), (after_ms - cpu_ms) / CALLS, (after - switches) / CALLS


async def side_by_side(ask: Ask, number: int = 8) -> tuple[float, float, float]:
    """The same, where so many are under way at once; the time is that of all, divided."""
    cpu_ms, switches = spent()
    begun = time.perf_counter()
    for _ in range(CALLS // number):
        await asyncio.gather(*(ask() for _ in range(number)))
    all_ms = 1000 * (time.perf_counter() - begun)
    after_ms, after = spent()
    return all_ms / CALLS, (after_ms - cpu_ms) / CALLS, (after - switches) / CALLS


async def measure(target: str, model: str, rounds: int) -> Figures:
    """Figures of each round, by way and manner."""
    client = TritonClient(target)
    figures: Figures = defaultdict(list)
    async with grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)

        async def by_library() -> object:
            request = infer_request(model, IDS, MASK, "")
            return await stub.ModelInfer(request, timeout=TIMEOUT_SECONDS)

        async def by_us() -> object:
            milliseconds = 1000 * TIMEOUT_SECONDS
            return await client.infer(model, IDS, MASK, timeout_ms=milliseconds, priority=1)

        ways: dict[str, Ask] = {"gRPC's library": by_library, "our connection": by_us}
        for _ in range(rounds):
            for name, ask in ways.items():
                for manner, pause_seconds in PAUSES_SECONDS.items():
                    figures[manner, name].append(await one_after_the_other(ask, pause_seconds))
                figures["eight side by side", name].append(await side_by_side(ask))
    await client.close()
    return figures


def main() -> None:
    """Measure, and print the medians of the rounds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repository", type=Path, default=REPOSITORY)
    parser.add_argument("--model", default="sentiment")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with EmbeddedTriton(given.repository, [given.model]) as triton:
        figures = uvloop.run(measure(triton.grpc_target, given.model, given.rounds))
    table = Table("calls", "by", "ms a call", "processor ms", "switches")
    for (manner, name), rounds in sorted(figures.items()):
        medians = (statistics.median(values) for values in zip(*rounds, strict=True))
        table.add_row(manner, name, *(f"{value:.2f}" for value in medians))
    Console().print(table)


if __name__ == "__main__":
    main()

"""Ours beside what a user would run instead, over the same engine and the same texts.

    make peers
    .venv/bin/python -m loadtest.peers.bench [--rounds 2] [--probe-seconds 8] [--json FILE]

The servers take turns, round by round, so that all see the same machine: each is started alone,
asked by one client in a closed loop, then searched for the highest Poisson rate whose P99 stays
under budget. Each round also measures the engine in process, in the runtime that ours serves. Run
it in a checkout with built engines. Load generator and server share the machine: what the
generator takes is missing to every server alike.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from benchmarks.engine_alone import KINDS, load_test_texts, measure_alone
from benchmarks.one_client import WrongAnswer
from benchmarks.one_client import measure as measure_one_client
from loadtest.capacity import find_capacity
from loadtest.errors import LoadTestError
from loadtest.generate import generate
from loadtest.peers.compare import EngineAlone, Measured, Row, rows_of, table_of
from loadtest.peers.engine import DEFAULT_MODEL
from loadtest.peers.servers import SERVERS, PeerError, Server, running
from loadtest.plan import Plan
from loadtest.stack import sigterm_exits
from loadtest.steal import Steal
from loadtest.verdict import Verdict, judge

ONE_CLIENT_REQUESTS = 500
# Where the search begins: one client's rate leaves room for a queue to form.
START_SHARE = 0.5
SETTLE_SECONDS = 60
# Answers this late are misses like any other; waiting longer for them tells nothing.
CLIENT_TIMEOUT_MS = 2000.0

stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def bench(
    servers: Sequence[Server], kinds: Sequence[str], rounds: int, plan: Plan, engine_seconds: float
) -> tuple[list[Measured], list[EngineAlone]]:
    """Measure all in turns.

    Args:
        servers: started one at a time, in this order in each round.
        kinds: of text.
        rounds: how often all take their turn.
        plan: durations and budget of each probe; host, rate and texts are filled in.
        engine_seconds: for each batch size of the engine alone.
    """
    measured: list[Measured] = []
    alone: list[EngineAlone] = []
    left_out: set[str] = set()
    runtime = served_runtime()
    for number in range(1, rounds + 1):
        for kind in kinds:
            alone.append(measure_engine(kind, number, runtime, engine_seconds))
        for server in servers:
            if server.name in left_out:
                continue
            try:
                measured += measure_server(server, kinds, number, plan)
            except (LoadTestError, WrongAnswer, OSError) as error:
                stderr.print(f"{server.name} left out: {error}", style="bold red", markup=False)
                left_out.add(server.name)
    return measured, alone


def measure_engine(kind: str, number: int, runtime: str, seconds: float) -> EngineAlone:
    """The engine in process, without a server."""
    found, _ = measure_alone(kind, runtime, seconds)
    stderr.print(
        f"round {number}, engine alone in {runtime}, {kind}: "
        f"{found.best.texts_per_second:.0f} texts/s at batch {found.best.batch}, "
        f"one text {found.one_text.p50_ms:.2f} ms"
    )
    return EngineAlone(kind, number, runtime, found.best.texts_per_second, found.one_text.p50_ms)


def measure_server(server: Server, kinds: Sequence[str], number: int, plan: Plan) -> list[Measured]:
    """One turn of one server: a row for each kind of text."""
    found = []
    with running(server) as url:
        for kind in kinds:
            times_ms, _, _ = measure_one_client(url, ONE_CLIENT_REQUESTS, load_test_texts(kind))
            p50_ms = statistics.median(times_ms)
            stderr.print(f"round {number}, {server.name}, {kind}: one client {p50_ms:.2f} ms")
            offer = Offer(replace(plan, host=url, texts=kind))
            capacity = find_capacity(
                offer,
                start_rate=START_SHARE * 1000 / p50_ms,
                on_probe=lambda probe: stderr.print("  " + probe.line(), markup=False),
            )
            found.append(
                Measured(
                    server.name,
                    kind,
                    number,
                    capacity.rate_per_second,
                    capacity.limited_by,
                    p50_ms,
                )
            )
    return found


class Offer:
    """Runs a plan at a rate; each run has another seed, or a repeated one would prove nothing.

    Raises:
        PeerError: the server does not get over the run before.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.runs = 0

    def __call__(self, rate_per_second: float) -> Verdict:
        settle(self.plan.host, self.plan.budget_ms)
        seed = self.plan.seed + self.runs
        self.runs += 1
        plan = replace(self.plan, rate_per_second=rate_per_second, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            return judge(generate(plan, Path(folder)), plan)


def settle(url: str, budget_ms: float) -> None:
    """Wait until one text is answered within budget again.

    A server that does not refuse works on what an overload left behind, though nobody waits.

    Raises:
        PeerError: it takes too long.
    """
    end = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            measure_one_client(url, 1, ["settled?"], warm_up_requests=0)
        except (OSError, WrongAnswer):
            time.sleep(1)
            continue
        if (time.monotonic() - begun) * 1000 < budget_ms:
            return
    raise PeerError(f"{url} was still busy {SETTLE_SECONDS} s after a run")


def served_runtime(model: Path = DEFAULT_MODEL) -> str:
    """The runtime that our service runs the engine in, out of its config.pbtxt."""
    config = (model / "config.pbtxt").read_text(encoding="utf-8")
    found = re.search(r'^backend: "(\w+)"', config, re.MULTILINE)
    if found is None:
        raise PeerError(f"{model}/config.pbtxt names no backend")
    return found[1]


def write_json(
    path: Path, rows: Sequence[Row], measured: Sequence[Measured], alone: Sequence[EngineAlone]
) -> None:
    """Medians and everything that they were taken from."""
    content = {
        "rows": [asdict(row) for row in rows],
        "measured": [asdict(each) for each in measured],
        "engine_alone": [asdict(each) for each in alone],
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    names = [server.name for server in SERVERS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--probe-seconds", type=float, default=8.0, help="of each rate, judged")
    parser.add_argument("--warm-up-seconds", type=float, default=2.0, help="before that")
    parser.add_argument("--engine-seconds", type=float, default=0.5, help="of each batch size")
    parser.add_argument("--budget-ms", type=float, default=50.0)
    parser.add_argument("--server", action="append", choices=names, help="only these")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these texts")
    parser.add_argument("--json", type=Path, help="write everything there")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    wanted = [server for server in SERVERS if server.name in (options.server or [server.name])]
    for reason in filter(None, (server.missing() for server in wanted)):
        stderr.print(reason, style="yellow", markup=False)
    plan = Plan(
        duration_seconds=options.probe_seconds,
        warm_up_seconds=options.warm_up_seconds,
        budget_ms=options.budget_ms,
        timeout_ms=CLIENT_TIMEOUT_MS,
    )
    steal = Steal()
    measured, alone = bench(
        [server for server in wanted if server.missing() is None],
        options.kind or KINDS,
        options.rounds,
        plan,
        options.engine_seconds,
    )
    rows = rows_of(measured, alone)
    warning = steal.warning()
    Console(width=120).print(table_of(rows, options.budget_ms))
    if warning is not None:
        stderr.print(warning, style="yellow", markup=False)
    if options.json:
        write_json(options.json, rows, measured, alone)
    return 0 if len({each.server for each in measured}) == len(wanted) else 1


if __name__ == "__main__":
    with sigterm_exits():
        sys.exit(main())

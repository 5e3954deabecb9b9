"""Interactive requests while whole contracts are summarized without pause.

    .venv/bin/python -m benchmarks.beside_contracts --rate R [--seconds S]

Starts `sub50 serve` and offers the load test's mix of sentences and reviews twice at the same rate:
alone, and beside a client that sends one whole contract after the other.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

from loadtest.generate import generate
from loadtest.plan import Plan
from loadtest.stack import running_service, sigterm_exits
from loadtest.texts import make_text
from loadtest.verdict import judge

CONTRACT_SECONDS = 130


@contextmanager
def contracts_without_pause(url: str) -> Iterator[list[float]]:
    """Summarize contract after contract; yields the list that each one's seconds are added to."""
    took_seconds: list[float] = []
    stop = threading.Event()
    source = random.Random(1)

    def work() -> None:
        while not stop.is_set():
            body = {"input": make_text("contract", source), "model": "contracts", "ratio": 0.15}
            begun = time.monotonic()
            content, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
            request = Request(f"{url}/v1/summarize", content, headers)  # noqa: S310
            with urlopen(request, timeout=CONTRACT_SECONDS) as response:  # noqa: S310
                response.read()
            took_seconds.append(time.monotonic() - begun)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    yield took_seconds
    stop.set()
    worker.join(CONTRACT_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, default=40.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, sigterm_exits(), running_service(Path(name)) as url:
        folder = Path(name)
        plan = Plan(host=url, rate_per_second=arguments.rate, duration_seconds=arguments.seconds)
        alone = judge(generate(plan, folder / "alone"), plan)
        print(f"alone:             {alone.line()}")
        with contracts_without_pause(url) as took_seconds:
            beside = judge(generate(plan, folder / "beside"), plan)
            done = len(took_seconds)
        print(f"beside contracts:  {beside.line()}")
        median = statistics.median(took_seconds)
        print(f"contracts done meanwhile: {done}, median {median:.1f} s each")


if __name__ == "__main__":
    main()

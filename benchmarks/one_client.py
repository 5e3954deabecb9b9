"""Time one client that sends one text after another over one connection.

    .venv/bin/python -m benchmarks.one_client [--url URL] [--requests N]

A closed loop: it says how long an answer takes when nothing else is asked, and nothing about
load. The service must run; the text has 25 tokens.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from urllib.parse import urlsplit

TEXT = (
    "The acting is superb and the story moves, "
    "although the last half hour could have lost a few of its scenes."
)
WARM_UP_REQUESTS = 100


def measure(url: str, requests: int) -> tuple[list[float], dict[str, list[float]], int]:
    """End-to-end times in ms, times of the stages in ms, and the text's tokens."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port or 80)
    body = json.dumps({"input": TEXT}).encode()
    headers = {"Content-Type": "application/json"}
    times_ms: list[float] = []
    stages_ms: dict[str, list[float]] = {}
    tokens = 0
    for number in range(WARM_UP_REQUESTS + requests):
        begun = time.perf_counter()
        connection.request("POST", "/v1/classify", body, headers)
        response = connection.getresponse()
        answer = response.read()
        spent_ms = (time.perf_counter() - begun) * 1000
        if response.status != 200:
            raise SystemExit(f"answered {response.status}: {answer[:300]!r}")
        if number < WARM_UP_REQUESTS:
            continue
        tokens = json.loads(answer)["results"][0]["tokens"]
        times_ms.append(spent_ms)
        for part in (response.getheader("Server-Timing") or "").split(", "):
            name, _, value = part.partition(";dur=")
            stages_ms.setdefault(name, []).append(float(value))
    return times_ms, stages_ms, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    times_ms, stages_ms, tokens = measure(arguments.url, arguments.requests)
    cuts = statistics.quantiles(times_ms, n=100)
    print(f"{arguments.requests} requests of one text of {tokens} tokens, one client")
    print(f"end to end: P50 {statistics.median(times_ms):.2f} ms, P99 {cuts[98]:.2f} ms")
    for name, values in stages_ms.items():
        print(f"  {name:12} P50 {statistics.median(values):.3f} ms")


if __name__ == "__main__":
    main()

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
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

TEXT = (
    "The acting is superb and the story moves, "
    "although the last half hour could have lost a few of its scenes."
)
WARM_UP_REQUESTS = 100


class WrongAnswer(Exception):
    """The server answered with another status than 200."""


def measure(
    url: str,
    requests: int,
    texts: Sequence[str] = (TEXT,),
    warm_up_requests: int = WARM_UP_REQUESTS,
) -> tuple[list[float], dict[str, list[float]], int]:
    """Send the texts in turn, again and again.

    Returns:
        End-to-end times in ms, times of the stages in ms where the server tells them in
        Server-Timing, and the tokens of the last text.

    Raises:
        WrongAnswer: a text was not answered.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port or 80)
    bodies = [json.dumps({"input": text}).encode() for text in texts]
    # A refusal would end the measurement: one client is no load to be kept out.
    headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": "10000"}
    times_ms: list[float] = []
    stages_ms: dict[str, list[float]] = {}
    tokens = 0
    with closing(connection):
        for number in range(warm_up_requests + requests):
            begun = time.perf_counter()
            connection.request("POST", "/v1/classify", bodies[number % len(bodies)], headers)
            response = connection.getresponse()
            answer = response.read()
            spent_ms = (time.perf_counter() - begun) * 1000
            if response.status != 200:
                raise WrongAnswer(f"answered {response.status}: {answer[:300]!r}")
            if number < warm_up_requests:
                continue
            tokens = json.loads(answer)["results"][0]["tokens"]
            times_ms.append(spent_ms)
            timing = response.getheader("Server-Timing")
            for part in timing.split(", ") if timing else []:
                name, _, value = part.partition(";dur=")
                stages_ms.setdefault(name, []).append(float(value))
    return times_ms, stages_ms, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--requests", type=int, default=2000)
    arguments = parser.parse_args()
    try:
        times_ms, stages_ms, tokens = measure(arguments.url, arguments.requests)
    except WrongAnswer as error:
        raise SystemExit(str(error)) from None
    cuts = statistics.quantiles(times_ms, n=100)
    print(f"{arguments.requests} requests of one text of {tokens} tokens, one client")
    print(f"end to end: P50 {statistics.median(times_ms):.2f} ms, P99 {cuts[98]:.2f} ms")
    for name, values in stages_ms.items():
        print(f"  {name:12} P50 {statistics.median(values):.3f} ms")


if __name__ == "__main__":
    main()

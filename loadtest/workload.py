"""The requests of a run as bytes, made before it, so that the run does nothing but send them."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from loadtest.arrivals import poisson_schedule
from loadtest.kinds import KINDS, Kind, mix_of
from loadtest.plan import Plan
from loadtest.records import Microseconds
from loadtest.texts import make_text

# As `sub50 classify` takes it: a key on the command line could be read by every user here.
KEY_VARIABLE = "SUB50_API_KEY"
# Enough that caches and branch predictors gain nothing from repetition; contracts are long.
DISTINCT_TEXTS = {"sentence": 800, "review": 600, "clause": 300, "contract": 12}


@dataclass(frozen=True, slots=True)
class Request:
    """A whole HTTP request, and how long after its scheduled send its client waits."""

    kind: str
    content: bytes
    timeout_us: int


@dataclass(frozen=True, slots=True)
class Workload:
    """What to send when.

    Attributes:
        scheduled_us: int64, when each request is to be sent, in µs from the start, rising.
        kind: uint8 of the same length, index into `kinds`.
        request: int64 of the same length, index into `requests`.
    """

    scheduled_us: Microseconds
    kind: npt.NDArray[np.uint8]
    request: npt.NDArray[np.int64]
    kinds: tuple[str, ...]
    requests: tuple[Request, ...]


def make_workload(plan: Plan) -> Workload:
    """Draw the schedule, the texts and who gets which; equal plans give equal workloads."""
    scheduled_us = poisson_schedule(plan.rate_per_second, plan.total_seconds, plan.seed)
    mix = mix_of(plan.scenario, plan.texts)
    requests: list[Request] = []
    ranges: list[tuple[int, int]] = []
    for name in mix:
        begun = len(requests)
        requests += _requests_of(KINDS[name], plan)
        ranges.append((begun, len(requests)))
    # A seed apart from the schedule's, so that the two do not go together.
    draw = np.random.default_rng([plan.seed, 1])
    shares = np.array(list(mix.values()))
    kind = draw.choice(len(mix), size=len(scheduled_us), p=shares / shares.sum()).astype(np.uint8)
    first, end = np.array(ranges).T
    request = draw.integers(first[kind], end[kind])
    return Workload(scheduled_us, kind, request, tuple(mix), tuple(requests))


def _requests_of(kind: Kind, plan: Plan) -> Iterator[Request]:
    source = random.Random(f"{plan.seed} {kind.name}")
    timeout_us = round((kind.timeout_ms or plan.timeout_ms) * 1000)
    for number in range(DISTINCT_TEXTS[kind.name]):
        model = kind.models[number % len(kind.models)]
        body = json.dumps({"input": make_text(kind.name, source), "model": model}).encode()
        yield Request(kind.name, _http_request(plan.host, kind.route, body), timeout_us)


def _http_request(host: str, route: str, body: bytes) -> bytes:
    address = urlsplit(host)
    lines = [
        f"POST {address.path.rstrip('/')}{route} HTTP/1.1",
        f"Host: {address.netloc.rpartition('@')[2]}",
        "User-Agent: sub50-loadtest",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    key = os.environ.get(KEY_VARIABLE)
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body

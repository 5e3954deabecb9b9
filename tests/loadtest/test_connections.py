"""Connections are kept, replaced where the other side closed them, and bounded."""

from __future__ import annotations

import time
import urllib.request

import pytest

from loadtest.connections import Address, Broken, Connections
from loadtest.plan import Plan
from loadtest.workload import make_workload
from tests.loadtest.conftest import StartStub


def exchange_some(url: str, count: int, pause_seconds: float = 0.0) -> list[int]:
    """The statuses of requests sent one after another."""
    requests = make_workload(Plan(url, duration_seconds=1)).requests
    connections = Connections(Address.of(url), 10)
    statuses = []
    for request in requests[:count]:
        statuses.append(connections.exchange(request.content, time.monotonic_ns() + 5 * 10**9))
        time.sleep(pause_seconds)
    connections.close()
    return statuses


def connections_made(url: str) -> int:
    with urllib.request.urlopen(f"{url}/connections", timeout=5) as response:
        return int(response.read())


def test_one_connection_serves_many(start_stub: StartStub) -> None:
    url = start_stub(statuses=[200, 429, 500])
    assert exchange_some(url, 6) == [200, 429, 500] * 2
    assert connections_made(url) == 1


def test_one_closed_while_idle_is_replaced(start_stub: StartStub) -> None:
    url = start_stub(keep_alive_ms=1)
    assert exchange_some(url, 4, pause_seconds=0.05) == [200] * 4
    assert connections_made(url) == 4


def test_one_broken_under_a_request_is_not_tried_again(start_stub: StartStub) -> None:
    with pytest.raises(Broken):
        exchange_some(start_stub(statuses=[200, 0]), 2)


def test_one_broken_before_its_first_answer_is_an_error(start_stub: StartStub) -> None:
    with pytest.raises(Broken):
        exchange_some(start_stub(statuses=[0]), 1)


def test_patience_ends(start_stub: StartStub) -> None:
    url = start_stub(delay_ms=5_000)
    request = make_workload(Plan(url, duration_seconds=1)).requests[0]
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        Connections(Address.of(url), 1).exchange(request.content, time.monotonic_ns() + 10**8)
    assert 0.1 <= time.monotonic() - begun < 3

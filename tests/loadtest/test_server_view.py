"""The server's own histogram is read and held against the clients' records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, start_http_server

from loadtest.records import OK, REFUSED
from loadtest.server_view import Counts, compare, read_counts
from service.metrics import Metrics
from tests.loadtest.conftest import StartStub
from tests.loadtest.hand_made import made


@pytest.fixture
def metrics() -> Iterator[tuple[Metrics, str]]:
    registry = CollectorRegistry()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    yield Metrics(registry), f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def observe(metrics: Metrics, request_class: str, status: int, *seconds: float) -> None:
    for value in seconds:
        metrics.request_series("/v1/classify", "any", request_class, status).observe(value)


def test_only_interactive_answers_within_the_budget_count_as_in_time(
    metrics: tuple[Metrics, str],
) -> None:
    declared, url = metrics
    assert read_counts(url, 50) == Counts(0, 0)
    observe(declared, "interactive", 200, 0.001, 0.049, 0.051)
    observe(declared, "interactive", 429, 0.001)
    observe(declared, "interactive", 504, 0.05)
    observe(declared, "bulk", 200, 3.0)
    assert read_counts(url, 50) == Counts(requests=5, in_time=2)


def test_a_budget_that_is_no_edge_of_the_histogram_cannot_be_told(
    metrics: tuple[Metrics, str],
) -> None:
    declared, url = metrics
    observe(declared, "interactive", 200, 0.001)
    assert read_counts(url, 47) is None


def test_other_servers_have_no_such_histogram(start_stub: StartStub) -> None:
    assert read_counts(start_stub(), 50) is None
    assert read_counts("http://127.0.0.1:1", 50) is None


def test_a_run_is_what_the_counts_grew_by() -> None:
    records = made([10, 20, 60, 1], outcome=[OK, OK, OK, REFUSED])
    seen = compare(Counts(100, 90), Counts(104, 92), records, 50)
    assert seen is not None
    assert (seen.server, seen.client, seen.requests) == (0.5, 0.5, 4)
    assert seen.agree
    assert "50.00 % by the server's own histogram (4 requests), 50.00 %" in seen.line()
    apart = compare(Counts(100, 90), Counts(104, 93), records, 50)
    assert apart is not None
    assert not apart.agree


def test_nothing_counted_is_nothing_to_compare() -> None:
    records = made([10], outcome=[OK])
    assert compare(None, Counts(1, 1), records, 50) is None
    assert compare(Counts(1, 1), Counts(1, 1), records, 50) is None

"""Who sends or reads slowly is told so, or cut off, and costs nobody else anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.service.conftest import Service, StartService
from tests.service.raw_client import BODY, HEAD, JSON, WHOLE, RawClient, cut, metric

SHORT = {"header_seconds": 0.5, "body_seconds": 0.5, "answer_seconds": 0.5}


@pytest.fixture
def hasty(start_service: StartService) -> Service:
    """A service whose patience is short."""
    return start_service(**SHORT, slowest_bytes_per_second=10_000, idle_seconds=1)


def test_slow_headers_get_408(hasty: Service) -> None:
    with RawClient(hasty.url) as client:
        took = client.trickle(HEAD + b"X-Slow: " + b"a" * 1000, 0.05, 5)
        answer = client.receive()
        assert client.is_closed(3)
    assert 0.4 < took < 2
    assert answer.status == 408
    assert answer.problem["type"] == "urn:sub50:problem:slow-request"
    assert answer.headers["connection"] == "close"
    assert cut(hasty.client, "slow_headers") == 1


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
@pytest.mark.parametrize("route", ["/v1/classify", "/hf/sentiment", "/predict"])
def test_a_slow_body_gets_408(hasty: Service, route: str, framing: str) -> None:
    head = f"POST {route} HTTP/1.1\r\nHost: x\r\n".encode() + JSON
    body = b"5\r\naaaaa\r\n" * 200 if framing == "chunked" else b"a" * 1000
    told = "Transfer-Encoding: chunked" if framing == "chunked" else "Content-Length: 1000"
    with RawClient(hasty.url) as client:
        client.send(head + told.encode() + b"\r\n\r\n")
        took = client.trickle(body, 0.05, 5)
        answer = client.receive()
        assert client.is_closed(3)
    assert 0.4 < took < 2
    assert answer.status == 408
    assert "body" in answer.problem["detail"]
    route = route.replace("sentiment", "{model}")
    labels = {"route": route, "model": "none", "class": "interactive", "status": "408"}
    assert metric(hasty.client, "sub50_request_duration_seconds_count", **labels) == 1
    assert cut(hasty.client, "slow_body") == 1


def test_a_body_that_keeps_up_with_the_rate_may_take_longer(hasty: Service) -> None:
    body = b'{"input": "a good film"' + b" " * 20_000 + b"}"
    with RawClient(hasty.url) as client:
        client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        begun = time.monotonic()
        for start in range(0, len(body), 2000):
            time.sleep(0.1)
            client.send(body[start : start + 2000])
        assert client.receive().status == 200
    assert time.monotonic() - begun > 2 * SHORT["body_seconds"]


def test_what_a_client_takes_to_send_its_body_is_not_our_time(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=400, late_answer_ms=0)
    with RawClient(service.url) as client:
        client.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
        time.sleep(0.6)
        client.send(BODY)
        answer = client.receive()
    assert answer.status == 200
    total = answer.headers["server-timing"].rpartition("total;dur=")[2]
    assert float(total) < 400


def test_a_body_that_nobody_waits_for_may_not_come_slowly_either(hasty: Service) -> None:
    with RawClient(hasty.url) as client:
        client.send(b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        assert client.receive().status == 200
        took = client.trickle(b"a" * 1000, 0.05, 5)
    assert 0.3 < took < 2
    assert cut(hasty.client, "slow_body") == 1


def test_a_connection_without_a_request_is_closed(hasty: Service) -> None:
    with RawClient(hasty.url) as client:
        assert client.is_closed(3)
    with RawClient(hasty.url) as client:
        client.send(b"\r\n")
        assert client.is_closed(3)
    assert cut(hasty.client, "idle") == 2


def test_lines_between_requests_hold_no_connection_open(hasty: Service) -> None:
    with RawClient(hasty.url) as client:
        client.send(WHOLE)
        assert client.receive().status == 200
        assert 0.3 < client.trickle(b"\r\n" * 500, 0.05, 5) < 3


def test_an_idle_connection_is_closed(hasty: Service) -> None:
    with RawClient(hasty.url) as client:
        client.send(WHOLE)
        assert client.receive().status == 200
        assert not client.is_closed(0.5)
        client.send(WHOLE)
        assert client.receive().status == 200
        assert client.is_closed(3)


def one_after_the_other(client: RawClient) -> None:
    for _ in range(100):
        client.send(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
        time.sleep(0.02)


def whole_page(client: RawClient) -> None:
    client.send(b"GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("ask", [whole_page, one_after_the_other])
def test_who_does_not_read_is_cut_off(
    start_service: StartService, ask: Callable[[RawClient], None]
) -> None:
    service = start_service(**SHORT, slowest_bytes_per_second=1_000_000, idle_seconds=5)
    with RawClient(service.url, receive_buffer_bytes=4096) as client:
        ask(client)
        deadline = time.monotonic() + 4  # before it would be closed for being idle
        while cut(service.client, "slow_reader") < 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_many_slow_senders_cost_nobody_else_anything(start_service: StartService) -> None:
    hasty = start_service(header_seconds=3, body_seconds=3)
    with ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(RawClient(hasty.url))
            client.send(HEAD if number % 2 else HEAD + b"Content-Length: 99\r\n\r\n{")
        for _ in range(20):
            assert hasty.post("/v1/classify", {"input": "a good film"}).status_code == 200
        assert metric(hasty.client, "sub50_connections") > 200
        time.sleep(4)
        assert metric(hasty.client, "sub50_connections") <= 2
    assert cut(hasty.client, "slow_headers") == 150
    assert cut(hasty.client, "slow_body") == 150


def test_bodies_that_are_still_coming_are_held_up_to_a_limit(start_service: StartService) -> None:
    service = start_service(max_received_bytes=1_000_000)
    head = HEAD + b"Content-Length: 500000\r\n\r\n"
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(service.url)) for _ in range(2)]
        for client in clients:
            client.send(head + b"a" * 450_000)
        time.sleep(0.5)
        with RawClient(service.url) as third:
            third.send(head + b"a" * 450_000)
            answer = third.receive()
        assert answer.status == 429
        assert answer.problem["reason"] == "received_bytes"
        assert service.post("/v1/classify", {"input": "a good film"}).status_code == 200
        for client in clients:
            client.send(b"a" * 50_000)
            assert client.receive().status == 400
    # What was held was given back.
    with RawClient(service.url) as client:
        client.send(head + b"a" * 500_000)
        assert client.receive().status == 400

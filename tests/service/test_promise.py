"""The promise over HTTP: what would be late is refused, what is given up stops costing."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from service.api.loop_lag import LARGEST_SECONDS
from tests.service.conftest import Service, StartService

SHORT = {"input": "A fine film."}


def metric(service: Service, name: str) -> float:
    lines = service.client.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))


def together(service: Service, body: dict[str, Any], count: int) -> list[httpx2.Response]:
    with ThreadPoolExecutor(count) as pool:
        sent = [pool.submit(service.post, "/v1/classify", body) for _ in range(count)]
        return [future.result() for future in sent]


def test_a_request_that_would_be_late_is_refused_with_what_was_predicted(
    start_service: StartService,
) -> None:
    service = start_service(interactive_timeout_ms=400)
    service.triton.delay_seconds = 0.1
    long = {"input": "a fine film and " * 20}
    for _ in range(12):  # so that it knows how slow the engine is
        service.post("/v1/classify", long)
    answers = together(service, long, 40)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) > 10
    assert any(answer.status_code == 200 for answer in answers)
    for answer in refused:
        body = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["reason"] in ("predicted", "late")
        assert body["predicted_ms"] > 0
        assert body["allowed_ms"] <= 400
        assert int(answer.headers["retry-after"]) >= 1
    assert metric(service, "sub50_refused_total{") == len(refused)
    assert {answer.status_code for answer in answers} <= {200, 429, 504}


def test_an_idle_service_serves_what_its_line_wrongly_calls_too_slow(service: Service) -> None:
    """The line of an engine without timings says 40 ms for 475 tokens; the fake takes none."""
    long = {"input": "a fine film and " * 118}
    statuses = []
    while 200 not in statuses and len(statuses) < 5:  # in time only if this machine is not busy
        time.sleep(1.1 if statuses else 0)
        answer = service.post("/v1/classify", long, headers={"X-Request-Timeout-Ms": "40"})
        statuses.append(answer.status_code)
    assert 200 in statuses


@pytest.mark.parametrize(("late_answer_ms", "least_seconds"), [(0, 0.1), (150, 0.25)])
def test_an_answer_that_does_not_come_is_a_504_when_its_time_is_over(
    start_service: StartService, late_answer_ms: float, least_seconds: float
) -> None:
    service = start_service(interactive_timeout_ms=100, late_answer_ms=late_answer_ms)
    service.triton.delay_seconds = 1.0
    begun = time.monotonic()
    answer = service.post("/v1/classify", SHORT)
    assert answer.status_code == 504
    # On a busy machine it counts what the request has probably waited before it was seen.
    assert least_seconds - LARGEST_SECONDS <= time.monotonic() - begun < 0.8


def test_an_answer_that_is_a_little_late_is_sent_and_counts_as_missed(
    start_service: StartService,
) -> None:
    service = start_service(interactive_timeout_ms=100, late_answer_ms=2_000)
    service.triton.delay_seconds = 0.3
    assert service.post("/v1/classify", SHORT).status_code == 200
    late = 'sub50_prediction_error_seconds_count{direction="later"'
    assert metric(service, late) == 1
    within = 'sub50_request_duration_seconds_bucket{class="interactive",le="%s"'
    assert [metric(service, within % edge) for edge in ("0.1", "+Inf")] == [0, 1]


def test_a_caller_who_set_a_deadline_gets_nothing_late(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=1_000, late_answer_ms=2_000)
    service.triton.delay_seconds = 0.5
    answer = service.post("/v1/classify", SHORT, headers={"X-Request-Timeout-Ms": "100"})
    assert answer.status_code == 504
    assert answer.elapsed.total_seconds() < 0.45


def test_a_caller_who_allows_more_time_is_served_as_bulk(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=100)
    service.triton.delay_seconds = 0.3
    answer = service.post("/v1/classify", SHORT, headers={"X-Request-Timeout-Ms": "5000"})
    assert answer.status_code == 200
    label = 'sub50_request_duration_seconds_count{class="bulk"'
    assert metric(service, label) == 1


def test_a_caller_who_allows_less_time_is_held_to_it(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=5_000)
    service.triton.delay_seconds = 0.5
    begun = time.monotonic()
    answer = service.post("/v1/classify", SHORT, headers={"X-Request-Timeout-Ms": "100"})
    assert answer.status_code in (429, 504)
    assert time.monotonic() - begun < 0.4


def test_the_deadline_travels_to_triton(service: Service) -> None:
    service.post("/v1/classify", SHORT, headers={"X-Request-Timeout-Ms": "700"})
    microseconds = service.triton.requests[-1].parameters["timeout"].int64_param
    assert 400_000 < microseconds <= 700_000


def test_rows_of_several_requests_share_a_call(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=20_000)
    service.triton.delay_seconds = 0.05
    texts = [f"word {'very ' * i}good" for i in range(16)]
    alone = [service.post("/v1/classify", {"input": text}).json() for text in texts]
    service.triton.requests.clear()
    with ThreadPoolExecutor(16) as pool:
        bodies = [{"input": text} for text in texts]
        shared = list(pool.map(lambda body: service.post("/v1/classify", body).json(), bodies))
    assert shared == alone
    assert len(service.triton.requests) < 10


def raw_request(service: Service, body: dict[str, Any]) -> socket.socket:
    """A connection on which a request was sent and nothing was read."""
    address = urlsplit(service.url)
    connection = socket.create_connection((address.hostname, address.port))
    content = json.dumps(body).encode()
    head = (
        "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content)
    return connection


def test_a_client_that_disconnects_stops_costing(start_service: StartService) -> None:
    service = start_service(interactive_timeout_ms=20_000)
    service.triton.delay_seconds = 1.0
    connection = raw_request(service, SHORT)
    wait_until(lambda: len(service.triton.requests) == 1)
    connection.close()
    wait_until(lambda: service.triton.cancelled == 1)
    assert metric(service, 'sub50_request_duration_seconds_count{class="interactive"') == 1
    text = service.client.get("/metrics").text
    assert 'status="499"' in text
    assert metric(service, "sub50_inflight ") == 0


def test_a_client_that_leaves_after_the_deadline_counts_as_a_broken_promise(
    start_service: StartService,
) -> None:
    service = start_service(interactive_timeout_ms=100, late_answer_ms=20_000)
    service.triton.delay_seconds = 2.0
    connection = raw_request(service, SHORT)
    time.sleep(0.3)
    connection.close()
    count = 'sub50_request_duration_seconds_count{class="interactive"'
    wait_until(lambda: metric(service, count) == 1)
    assert 'status="504"' in service.client.get("/metrics").text


def test_a_client_that_breaks_off_its_upload_is_no_fault_of_ours(
    start_service: StartService,
) -> None:
    service = start_service()
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
        connection.sendall(head + b'{"input": ')
        # Closed only once the service reads the body.
        time.sleep(0.2)
    gone = 'sub50_request_duration_seconds_count{class="interactive",model="none"'
    wait_until(lambda: metric(service, gone) == 1)
    text = service.client.get("/metrics").text
    assert 'status="499"' in text
    assert 'status="500"' not in text


def test_a_contract_that_nobody_waits_for_stops_costing(start_service: StartService) -> None:
    service = start_service()
    service.triton.delay_seconds = 0.02
    sentence = "The supplier shall deliver the goods listed in annex {} within thirty days. "
    document = "".join(sentence.format(i) for i in range(2_000))
    connection = raw_request(service, {"input": document})
    wait_until(lambda: len(service.triton.requests) >= 1)
    connection.close()
    wait_until(lambda: metric(service, "sub50_inflight ") == 0)
    sent = bulk_calls(service)
    time.sleep(0.2)
    assert bulk_calls(service) <= sent + 1


def bulk_calls(service: Service) -> int:
    """Calls of bulk work; reading the metrics makes others."""
    parameters = [request.parameters for request in service.triton.requests]
    return sum(parameter["priority"].uint64_param == 2 for parameter in parameters)


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("did not come about in time")
        time.sleep(0.01)

"""Headers over their limits, and what is no HTTP, get a problem like everything else."""

from __future__ import annotations

import socket
import time

import pytest

from tests.service.conftest import Service
from tests.service.raw_client import BODY, HEAD, WHOLE, RawClient, cut

END = b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def headers(count: int, size: int = 1) -> bytes:
    return b"".join(b"X-%d: %s\r\n" % (i, b"a" * size) for i in range(count))


LARGE = {
    "many": HEAD + headers(200) + END,
    "one that is long": HEAD + headers(1, 40_000) + END,
    "several that are long": HEAD + headers(50, 1000) + END,
    "one without end": HEAD + b"X-Long: " + b"a" * 3_000_000,
    "a name without end": HEAD + b"a" * 3_000_000,
    "a path without end": b"GET /" + b"a" * 3_000_000,
    "a long path": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "trailers": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n18\r\n"
    + BODY
    + b"\r\n0\r\n"
    + headers(20_000, 10),
}


@pytest.mark.parametrize("name", LARGE)
def test_headers_over_a_limit_get_431(service: Service, name: str) -> None:
    before = cut(service.client, "headers_too_large")
    with RawClient(service.url) as client:
        client.send(LARGE[name])
        answer = client.receive()
        assert client.is_closed(3)
    if name == "trailers" and answer.status == 200:  # it was answered before they came
        return
    assert answer.status == 431
    assert answer.problem["type"] == "urn:sub50:problem:headers-too-large"
    assert cut(service.client, "headers_too_large") == before + 1


@pytest.mark.parametrize("size", [60, 200])
def test_headers_within_the_limits_are_fine_however_they_come(service: Service, size: int) -> None:
    request = HEAD + headers(90, size) + END
    with RawClient(service.url) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), 1000):
            client.send(request[start : start + 1000])
        assert client.receive().status == 200
        # What came with the end of the request before counts for the next one as little.
        client.send(request + request[:500])
        assert client.receive().status == 200
        client.send(request[500:])
        assert client.receive().status == 200


MALFORMED = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00",
    "a header without a colon": b"GET /livez HTTP/1.1\r\nHost\r\n\r\n",
    "a length that is none": HEAD + b"Content-Length: many\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "a length and chunks": HEAD
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a size of a chunk that is none": HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a path outside of ASCII": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_no_http_gets_400(service: Service, name: str) -> None:
    with RawClient(service.url) as client:
        client.send(MALFORMED[name])
        answer = client.receive()
        assert client.is_closed(3)
    assert answer.status == 400
    assert answer.problem["type"] == "urn:sub50:problem:malformed-request"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_trailers_change_no_header(service: Service) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(BODY), BODY)
    with RawClient(service.url) as client:
        client.send(HEAD + chunked + b"0\r\nX-Request-ID: of-a-trailer\r\n\r\n")
        answer = client.receive()
    assert answer.status == 200
    assert answer.headers["x-request-id"] != "of-a-trailer"


def test_requests_sent_ahead_are_answered_in_order(service: Service) -> None:
    paths = [b"/livez", b"/v1/models", b"/nothing"] * 3
    with RawClient(service.url) as client:
        client.send(b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in paths))
        assert [client.receive().status for _ in paths] == [200, 200, 404] * 3


def test_too_many_sent_ahead_end_the_connection_after_some_answers(service: Service) -> None:
    with RawClient(service.url) as client:
        client.send(WHOLE * 2000)
        statuses = []
        while (answer := client.receive()).status:
            statuses.append(answer.status)
    assert set(statuses) == {200}
    assert 2 <= len(statuses) < 100


def test_what_is_wrong_behind_a_request_does_not_take_its_answer(service: Service) -> None:
    service.triton.delay_seconds = 0.3
    with RawClient(service.url) as client:
        client.send(WHOLE + b"nonsense\r\n\r\n")
        assert client.receive().status == 200
        assert client.is_closed(3)


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_other_protocols_are_not_begun(service: Service, protocol: str) -> None:
    upgrade = f"Upgrade: {protocol}\r\nConnection: Upgrade\r\n".encode()
    get = b"GET /livez HTTP/1.1\r\nHost: x\r\n" + upgrade
    with RawClient(service.url) as client:
        for request in (get, get + b"Content-Length: 0\r\n"):
            client.send(request + b"\r\n")
            assert client.receive().status == 200


@pytest.mark.parametrize("ends", [b"Content-Length: 33\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("asks", [b"Upgrade: h2c\r\nConnection: Upgrade\r\n", b""])
def test_no_request_is_hidden_in_the_body_of_another(
    service: Service, ends: bytes, asks: bytes
) -> None:
    method = b"POST /v1/classify" if asks else b"CONNECT localhost:80"
    with RawClient(service.url) as client:
        client.send(method + b" HTTP/1.1\r\nHost: x\r\n" + asks + ends + b"\r\n")
        time.sleep(0.1)  # so that it is read on its own
        client.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.receive().status == 400
        assert client.is_closed(3)

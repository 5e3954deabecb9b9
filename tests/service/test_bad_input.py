"""Whatever a client sends gets its documented 4xx or a sensible answer, and the next one works."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.service.conftest import Service, StartService

Case = tuple[Any, int, str | None]

INVALID: dict[str, Case] = {
    "empty text": ({"input": ""}, 422, "input.0"),
    "only white space": ({"input": [" \t\n\u2003"]}, 422, "input.0"),
    "second text blank": ({"input": ["good", ""]}, 422, "input.1"),
    "empty list": ({"input": []}, 422, "input"),
    "no input": ({}, 422, "input"),
    "null": ({"input": None}, 422, "input"),
    "a number": ({"input": 5}, 422, "input"),
    "a number in the list": ({"input": ["good", 5]}, 422, "input.1"),
    "nested lists": ({"input": [["good"]]}, 422, "input.0"),
    "unknown model": ({"input": "good", "model": "nope"}, 404, None),
    "a model of another task": ({"input": "good", "model": "general"}, 404, None),
    "a model name of a megabyte": ({"input": "good", "model": "x" * 1_000_000}, 404, None),
    "model is a number": ({"input": "good", "model": 1}, 422, "model"),
    "unknown field": ({"input": "good", "modle": "x"}, 422, "modle"),
    "top_k is zero": ({"input": "good", "top_k": 0}, 422, "top_k"),
    "top_k is a string": ({"input": "good", "top_k": "1"}, 422, "top_k"),
    "truncate is unknown": ({"input": "good", "truncate": "middle"}, 422, "truncate"),
    "raw_scores is a string": ({"input": "good", "raw_scores": "yes"}, 422, "raw_scores"),
    "1,000 inputs": ({"input": ["good"] * 1000}, 413, "input"),
    "a text over its limit": ({"input": "é" * 600_000}, 413, "input.0"),
    "the body is a list": ([1], 422, "body"),
}

SUMMARIZE_INVALID: dict[str, Case] = {
    "ratio is over one": ({"input": "good", "ratio": 1.5}, 422, "ratio"),
    "ratio is zero": ({"input": "good", "ratio": 0}, 422, "ratio"),
    "ratio is larger than any float": ({"input": "good", "ratio": 10**400}, 422, "ratio"),
    "ratio is true": ({"input": "good", "ratio": True}, 422, "ratio"),
    "max_sentences is negative": ({"input": "good", "max_sentences": -1}, 422, "max_sentences"),
    "max_words is a float": ({"input": "good", "max_words": 1.5}, 422, "max_words"),
    "a model of another task": ({"input": "good", "model": "sentiment"}, 404, None),
}

ANSWERED = {
    "a word of a megabyte": "x" * 1_000_000,
    "NUL": "\0",
    "NUL within": "good\0film",
    "10,000 emoji": "😀" * 10_000,
    "right-to-left": "הסרט הזה נפלא. \u202eabc\u202c",
    "combining marks": "e" + "\u0301" * 5000,
    "unassigned and private": "\uffff\ue000\U0010ffff",
    "control characters": "\x01\x02 good \x7f",
    "markup": "<script>alert(1)</script>",
    "only punctuation": "... !!! ???",
    "form feeds and CRLF": "good.\r\n\fbad.\r\n",
}

RAW: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "not JSON": (b"input=good", 400),
    "cut off": (b'{"input": "good', 400),
    "two values": (b'{"input": "good"} {}', 400),
    "not UTF-8": (b'{"input": "\xff\xfe"}', 400),
    "a lone surrogate": (b'{"input": "\\ud800 good"}', 400),
    "a control character": (b'{"input": "a\x01b"}', 400),
    "nested without end": (b'{"input": ' + b"[" * 100_000, 400),
    "NaN": (b'{"input": "good", "top_k": NaN}', 422),
    "infinity": (b'{"input": "good", "top_k": Infinity}', 422),
}


@pytest.fixture(autouse=True)
def _the_next_request_works(service: Service) -> Iterator[None]:
    yield
    response = service.post("/v1/classify", {"input": "a good film"})
    assert response.status_code == 200


def check_problem(response: Any, status: int, field: str | None) -> None:
    assert response.status_code == status, response.text[:300]
    assert response.headers["content-type"] == "application/problem+json"
    assert len(response.content) < 5000
    body = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert "Traceback" not in response.text
    if field is not None:
        assert field in [item["field"] for item in body["errors"]]


@pytest.mark.parametrize("name", INVALID)
def test_invalid_classify(service: Service, name: str) -> None:
    body, status, field = INVALID[name]
    check_problem(service.post("/v1/classify", body), status, field)


@pytest.mark.parametrize("name", SUMMARIZE_INVALID)
def test_invalid_summarize(service: Service, name: str) -> None:
    body, status, field = SUMMARIZE_INVALID[name]
    check_problem(service.post("/v1/summarize", body), status, field)


@pytest.mark.parametrize("name", ANSWERED)
@pytest.mark.parametrize("route", ["/v1/classify", "/v1/summarize"])
def test_strange_texts_are_answered(service: Service, route: str, name: str) -> None:
    text = ANSWERED[name]
    response = service.post(route, {"input": text})
    assert response.status_code == 200, response.text[:300]
    (result,) = response.json()["results"]
    for sentence in result.get("sentences", []):
        assert text[sentence["start"] : sentence["end"]] == sentence["text"]


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("route", ["/v1/classify", "/v1/summarize"])
def test_broken_bodies(service: Service, route: str, name: str) -> None:
    content, status = RAW[name]
    response = service.client.post(route, content=content)
    check_problem(response, status, None)


def test_nan_as_a_ratio_is_named(service: Service) -> None:
    response = service.client.post("/v1/summarize", content=b'{"input": "good", "ratio": NaN}')
    check_problem(response, 422, "ratio")


def test_a_huge_number_of_labels_is_all_of_them(service: Service) -> None:
    (result,) = service.post("/v1/classify", {"input": "good", "top_k": 10**30}).json()["results"]
    assert len(result["scores"]) == 2


@pytest.mark.parametrize("route", ["/v1/summarize", "/hf/general"])
def test_whole_numbers_may_be_written_with_a_point(service: Service, route: str) -> None:
    own = route.startswith("/v1")
    limits = {"max_sentences": 1.0, "max_words": 2e1, "ratio": 1}
    body = {"input": "good", **limits} if own else {"inputs": "good", "parameters": limits}
    assert service.post(route, body).status_code == 200
    (limits if not own else body)["max_words"] = 2.5
    check_problem(service.post(route, body), 422, "max_words" if own else "parameters.max_words")


def test_a_body_over_the_limit(service: Service) -> None:
    content = json.dumps({"input": ["x" * 900_000] * 12}).encode()
    response = service.client.post("/v1/classify", content=content)
    check_problem(response, 413, "body")


def test_a_client_that_asks_before_it_sends_too_much_is_told_at_once(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        begun = time.monotonic()
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: 99000000\r\n\r\n"
        )
        assert b" 413 " in _receive(connection).splitlines()[0]
    assert time.monotonic() - begun < 0.5


def test_a_client_that_stops_sending_too_much_is_answered(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n{"
        )
        assert b" 413 " in _receive(connection).splitlines()[0]


def test_a_chunked_body_over_the_limit(start_service: StartService) -> None:
    service = start_service(max_body_bytes=100_000)
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
        answer = b""
        try:
            for _ in range(1000):
                connection.sendall(chunk)
        except OSError:
            pass  # closed on us, as it should be, once it had read enough
        while part := _receive(connection):
            answer += part
    assert b" 413 " in answer.splitlines()[0]
    assert service.post("/v1/classify", {"input": "good"}).status_code == 200


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def test_unknown_paths_and_methods_are_problems_too(service: Service) -> None:
    check_problem(service.client.get("/v2/classify"), 404, None)
    check_problem(service.client.get("/v1/classify"), 405, None)


def test_names_of_files_are_no_models(service: Service) -> None:
    for name in ("..%2f..%2fetc%2fpasswd", "%00", "sentiment%2f1"):
        assert service.client.get(f"/v1/models/{name}").status_code == 404

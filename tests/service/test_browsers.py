"""What browsers are told, and what pages of other origins may do: nothing, unless named."""

from __future__ import annotations

import socket
from typing import Any

import httpx2
import pytest

from service.configuration import read_settings
from service.errors import ServeError
from service.settings import Settings
from tests.service.conftest import Service, StartService

ORIGIN = "https://app.example"
ROUTES = ("/v1/classify", "/v1/summarize", "/predict", "/hf/sentiment")
BODY = b'{"input": "good"}'


@pytest.fixture
def bare(service: Service) -> Any:
    """A client that says nothing of its bodies."""
    with httpx2.Client(base_url=service.url, timeout=30) as client:
        yield client


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/problem+json",
        "application/json, text/plain",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
    ],
)
def test_what_is_not_said_to_be_json_is_refused(
    bare: httpx2.Client, route: str, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    response = bare.post(route, content=BODY, headers=headers)
    assert response.status_code == 415
    problem = response.json()
    assert problem["type"] == "urn:sub50:problem:not-json"
    assert "`Content-Type: application/json`" in problem["detail"]
    assert response.headers["accept-post"] == "application/json"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset=utf8; profile=x",
    ],
)
def test_json_may_be_said_in_many_ways(bare: httpx2.Client, content_type: str) -> None:
    headers = {"Content-Type": content_type, "Content-Encoding": "identity"}
    assert bare.post("/v1/classify", content=BODY, headers=headers).status_code == 200


def test_a_second_content_type_counts_too(bare: httpx2.Client) -> None:
    headers = [("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert bare.post("/v1/classify", content=BODY, headers=headers).status_code == 415


def test_a_compressed_body_is_named_as_such(service: Service) -> None:
    headers = {"Content-Encoding": "gzip"}
    response = service.client.post("/v1/classify", content=BODY, headers=headers)
    assert response.status_code == 415
    assert "without Content-Encoding" in response.json()["detail"]
    assert response.headers["accept-encoding"] == "identity"


def test_a_connection_lives_on_after_a_415(service: Service) -> None:
    address = httpx2.URL(service.url)
    with socket.create_connection((address.host, address.port), timeout=10) as connection:
        for kind, status in (("text/plain", b"415"), ("application/json", b"200")):
            head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n"
            connection.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.split()[1] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/classify", 200),
        ("POST", "/v1/summarize", 422),
        ("POST", "/hf/nothing", 404),
        ("GET", "/v1/models", 200),
        ("GET", "/v1/models/nothing", 404),
        ("GET", "/v1/board", 200),
        ("GET", "/", 200),
        ("GET", "/board/board.js", 200),
        ("GET", "/docs", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/static-offline-docs/swagger-ui.css", 200),
        ("GET", "/metrics", 200),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/v1/classify", 405),
    ],
)
def test_every_answer_has_the_headers(
    service: Service, method: str, path: str, status: int
) -> None:
    body = {"input": "good"} if path == "/v1/classify" else {"inputs": "good"}
    response = service.client.request(method, path, json=body if method == "POST" else None)
    assert response.status_code == status
    names = [name for name, _ in response.headers.multi_items()]
    assert len(names) == len(set(names))
    headers = response.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    page = path in ("/", "/docs") or path.startswith("/board/")
    kept = {True: "no-cache", False: "no-store"}[page]
    assert headers.get("cache-control", "by etag") == ("by etag" if "etag" in headers else kept)
    assert "server" not in headers or "/" not in headers["server"]


def test_a_fault_of_ours_has_them_too(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.api.exchange.require_json", fail)
    response = start_service().post("/v1/classify", {"input": "good"})
    assert response.status_code == 500
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert "secret" not in response.text


PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,authorization",
}


@pytest.mark.parametrize("route", [*ROUTES, "/v1/models", "/metrics", "/"])
def test_no_origin_may_ask_unless_it_is_named(service: Service, route: str) -> None:
    response = service.client.options(route, headers=PREFLIGHT)
    assert response.status_code == 405
    assert not [name for name in response.headers if name.startswith("access-control")]
    method = "POST" if route in ROUTES else "GET"
    content = BODY if method == "POST" else None
    answer = service.client.request(method, route, content=content, headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_named_origin_may_ask_and_others_still_not(start_service: StartService) -> None:
    service = start_service(cors_origins=(ORIGIN, "http://localhost:3000"))
    leave = service.client.options("/v1/classify", headers=PREFLIGHT)
    assert leave.status_code == 200
    assert leave.headers["access-control-allow-origin"] == ORIGIN
    assert "authorization" in leave.headers["access-control-allow-headers"].lower()
    assert "access-control-allow-credentials" not in leave.headers
    answer = service.client.post("/v1/classify", content=BODY, headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    for other in (f"{ORIGIN}.evil.example", "https://evil.example", "null", "http://app.example"):
        refused = service.client.options("/v1/classify", headers={**PREFLIGHT, "Origin": other})
        assert refused.status_code == 400
        assert "access-control-allow-origin" not in refused.headers
        answer = service.client.get("/v1/models", headers={"Origin": other})
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("value", "origins"),
    [
        ("", ()),
        (ORIGIN, (ORIGIN,)),
        (f"{ORIGIN}, http://[::1]:80 ", (ORIGIN, "http://[::1]:80")),
    ],
)
def test_origins_of_a_variable(
    value: str, origins: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUB50_CORS_ORIGINS", value)
    assert Settings().cors_origins == origins


@pytest.mark.parametrize(
    "value", ["*", "null", "app.example", "https://App.example", "https://a/", "https://*.a", "a:b"]
)
def test_what_is_no_origin_ends_the_start(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_CORS_ORIGINS", value)
    with pytest.raises(ServeError, match=r"cors_origins \(SUB50_CORS_ORIGINS\): is no origin"):
        read_settings({})

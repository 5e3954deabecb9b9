"""Keys over HTTP: rates, changes while serving, and what metrics and alerts see of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.keys.line import line_of
from service.keys.open import is_loopback, warn_where_open
from service.settings import Settings
from tests.service.conftest import Service, StartService
from tests.service.keys.test_store import write

# Two readings of the file agree, and then some.
SECONDS = 10.0


def status(service: Service, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return service.post("/v1/classify", {"input": "good"}, headers=headers).status_code


def metrics(service: Service) -> str:
    return service.client.get("/metrics").text


def soon(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_keys_change_while_requests_come_in(start_service: StartService, tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    service = start_service(api_keys_file=path)
    assert (status(service, "a"), status(service, "b")) == (200, 401)
    write(path, line_of("ana", "a"), line_of("bob", "b"))
    soon(lambda: status(service, "b") == 200)
    assert status(service, "a") == 200
    write(path, line_of("bob", "b"))
    soon(lambda: status(service, "a") == 401)
    assert status(service, "b") == 200
    soon(lambda: 'key="ana"' not in metrics(service))
    assert 'sub50_key_requests_total{key="bob",result="accepted"}' in metrics(service)


def test_a_broken_file_is_shown_and_the_keys_stay(
    start_service: StartService, tmp_path: Path
) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    service = start_service(api_keys_file=path)
    fault = 'sub50_key_file_fault{setting="api_keys_file"}'
    assert f"{fault} 0.0" in metrics(service)
    path.write_text("")
    soon(lambda: f"{fault} 1.0" in metrics(service))
    assert [status(service, key) for key in ("a", "b")] == [200, 401]
    write(path, line_of("ana", "a"))
    soon(lambda: f"{fault} 0.0" in metrics(service))


def test_who_asks_too_often_is_told_when_to_come_again(start_service: StartService) -> None:
    # So slow that no machine fills the bucket again meanwhile.
    service = start_service(
        api_keys=(line_of("ana", "a", "rate=0.01 burst=2"), line_of("bob", "b"))
    )
    assert [status(service, "a") for _ in range(3)] == [200, 200, 429]
    headers = {"Authorization": "Bearer a"}
    response = service.post("/v1/classify", {"input": "good"}, headers=headers)
    problem = response.json()
    assert problem["type"] == "urn:sub50:problem:rate-limited"
    assert "ana may ask 0.01 times a second" in problem["detail"]
    assert 90 < problem["retry_after_seconds"] <= 100
    assert response.headers["retry-after"] == str(problem["retry_after_seconds"])
    assert service.client.get("/v1/models", headers=headers).status_code == 429
    assert status(service, "b") == 200
    seen = metrics(service)
    assert 'sub50_key_requests_total{key="ana",result="accepted"} 2.0' in seen
    assert 'sub50_key_requests_total{key="ana",result="limited"} 3.0' in seen


def test_limited_requests_are_no_refusals_of_the_promise(start_service: StartService) -> None:
    service = start_service(api_keys=("key",), key_requests_per_second=0.01)
    assert [status(service, "key") for _ in range(3)] == [200, 429, 429]
    assert len(service.triton.requests) == 1
    seen = metrics(service)
    assert 'class="limited",model="none",route="/v1/classify",status="429"} 2.0' in seen
    assert 'class="interactive",model="none",route="/v1/classify",status="429"' not in seen
    assert "sub50_refused_total{" not in seen


def test_without_keys_there_is_no_limit(start_service: StartService) -> None:
    service = start_service(key_requests_per_second=0.01)
    assert [status(service, "key") for _ in range(3)] == [200, 200, 200]


def test_only_a_bearer_token_is_one(start_service: StartService) -> None:
    service = start_service(api_keys=("key",))
    for value, expected in {
        "Bearer key": 200,
        "bearer   key": 200,
        "Basic key": 401,
        "key": 401,
        "Bearer": 401,
        "Bearer key key": 401,
    }.items():
        headers = {"Authorization": value}
        response = service.post("/v1/classify", {"input": "good"}, headers=headers)
        assert response.status_code == expected, value


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("example.org", False),
    ],
)
def test_open_to_others_is_warned_of(
    host: str, ours: bool, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_loopback(host) == ours
    with caplog.at_level(logging.WARNING, "sub50.keys"):
        warn_where_open(Settings(host=host, api_keys=("key",)))  # type: ignore[arg-type]
        assert caplog.text == ""
        warn_where_open(Settings(host=host))
    assert ("SUB50_API_KEYS_FILE" in caplog.text) != ours

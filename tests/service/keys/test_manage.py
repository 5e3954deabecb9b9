"""Promotions over HTTP: what commands can do, for who has a management key and nobody else."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx2
import pytest

from core.versions import promotion_lock, read_served
from service.keys.line import line_of
from tests.service.conftest import Service, StartService
from tests.service.keys.test_store import write
from tests.service.test_document import check_answer, document_of
from tests.service.test_promotion import (  # noqa: F401
    WATCH_SECONDS,
    _quick_golden_requests,
    folder,
)
from tests.service.version_answers import doubled, swapped
from tests.tiny import card, write_version

PROMOTE = "/v1/manage/models/{name}/promote"
ROLLBACK = "/v1/manage/models/{name}/rollback"


@pytest.fixture
def service(start_service: StartService, folder: Path, tmp_path: Path) -> Service:  # noqa: F811
    for number, engine in (("2", b"new"), ("3", b"other")):
        made = card("sentiment", version=number, description=f"number {number}")
        write_version(folder / "sentiment" / number, made, engine=engine)
    folder.joinpath("sentiment.served.json").write_text('{"version": "1", "previous": []}')
    running = start_service(
        WATCH_SECONDS,
        repository=folder,
        api_keys=("a",),
        management_keys_file=write(tmp_path / "managers", line_of("root", "m")),
    )
    running.triton.loaded = {"sentiment": {"1"}}
    running.triton.versions = {("sentiment", "2"): doubled, ("sentiment", "3"): swapped}
    return running


def ask(
    service: Service, path: str, body: object = None, key: str = "m", name: str = "sentiment"
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {key}"}
    response = service.client.post(path.format(name=name), json=body, headers=headers)
    check_answer(document_of(service), "post", path, response)
    return response


def served(service: Service) -> str:
    body, headers = {"input": "good"}, {"Authorization": "Bearer a"}
    return str(service.post("/v1/classify", body, headers=headers).json()["version"])


def test_there_and_back(
    service: Service,
    folder: Path,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "sub50.manage"):
        promoted = ask(service, PROMOTE, {"version": "2"})
    assert promoted.status_code == 200
    assert (promoted.json()["version"], promoted.json()["before"]) == ("2", "1")
    assert promoted.json()["golden"]["labels_changed"] == 0
    assert served(service) == "2"
    assert read_served(folder / "sentiment").previous == ("1",)  # type: ignore[union-attr]
    assert "root asks over HTTP to promote sentiment" in caplog.text
    assert ask(service, PROMOTE, {"version": "2"}).json()["unchanged"] is True
    assert ask(service, ROLLBACK).json()["version"] == "1"
    assert served(service) == "1"
    gone = ask(service, ROLLBACK)
    assert gone.status_code == 409
    assert "no earlier version" in gone.json()["detail"]


def test_what_cannot_serve_changes_nothing(service: Service) -> None:
    other = ask(service, PROMOTE, {"version": "3"})
    assert other.status_code == 409
    assert other.json()["type"] == "urn:sub50:problem:not-promoted"
    assert "golden requests otherwise than version 1" in other.json()["detail"]
    none = ask(service, PROMOTE, {"version": "9"})
    assert none.status_code == 409
    assert "no version 9" in none.json()["detail"]
    assert served(service) == "1"


def test_a_command_under_way_holds_it_off(service: Service, folder: Path) -> None:  # noqa: F811
    with promotion_lock(folder / "sentiment"):
        held = ask(service, PROMOTE, {"version": "2"})
    assert held.status_code == 409
    assert "another promotion of sentiment is under way" in held.json()["detail"]
    assert ask(service, PROMOTE, {"version": "2"}).status_code == 200


@pytest.mark.parametrize("path", [PROMOTE, ROLLBACK])
def test_only_a_management_key_manages(service: Service, path: str) -> None:
    for key, told in (("a", "is a caller's"), ("wrong", "send a management key")):
        response = ask(service, path, {"version": "2"}, key=key)
        assert response.status_code == 401
        assert told in response.json()["detail"]
    route = path.format(name="sentiment")
    assert service.client.post(route).status_code == 401
    # Browsers send that by themselves once it was typed, also for pages of other origins.
    assert service.client.post(route, auth=("x", "m")).status_code == 401
    assert served(service) == "1"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"version": "../../etc"}, 422),
        ({"version": ""}, 422),
        ({"version": 2}, 422),
        ({"version": "2", "shadow": "10m"}, 422),
        ({"version": "2" * 19}, 422),
        ({}, 422),
        ({"version": "2", "x": "x" * 5000}, 413),
    ],
)
def test_bad_bodies(service: Service, body: object, status: int) -> None:
    assert ask(service, PROMOTE, body).status_code == status
    assert served(service) == "1"


def test_bodies_that_are_no_json(service: Service) -> None:
    route = PROMOTE.format(name="sentiment")
    headers = {"Authorization": "Bearer m"}
    assert service.client.post(route, content=b"{", headers=headers).status_code == 400
    headers["Content-Type"] = "text/plain"
    body = b'{"version": "2"}'
    assert service.client.post(route, content=body, headers=headers).status_code == 415


def test_unknown_models(service: Service) -> None:
    for path in (PROMOTE, ROLLBACK):
        assert ask(service, path, {"version": "2"}, name="nothing").status_code == 404
    route = PROMOTE.format(name="..%2f..")
    headers = {"Authorization": "Bearer m"}
    assert service.client.post(route, json={"version": "2"}, headers=headers).status_code == 404


def test_without_a_management_key_or_a_triton_of_ours_there_is_no_such_route(
    start_service: StartService,
    folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    managers = write(tmp_path / "managers", line_of("root", "m"))
    for service in (
        start_service(WATCH_SECONDS, repository=folder),
        start_service(management_keys_file=managers),
    ):
        headers = {"Authorization": "Bearer m"}
        response = service.client.post(PROMOTE.format(name="sentiment"), json={}, headers=headers)
        assert response.status_code == 404
        assert not [path for path in document_of(service)["paths"] if "manage" in path]

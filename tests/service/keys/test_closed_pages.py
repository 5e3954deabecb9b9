"""Pages that only who manages may open, in programs and in browsers."""

from __future__ import annotations

import base64
import http.client
from pathlib import Path

import httpx2
import pytest

from service.configuration import read_settings
from service.errors import ServeError
from service.keys.line import line_of
from service.settings import Settings
from tests.service.conftest import Service, StartService
from tests.service.keys.test_serving import soon
from tests.service.keys.test_store import write

PAGES = {
    "board": ("/", "/board/board.js", "/v1/board"),
    "docs": ("/docs", "/openapi.json", "/static-offline-docs/swagger-ui.css"),
    "metrics": ("/metrics",),
}
ALL = [path for paths in PAGES.values() for path in paths]
MANAGER = {"Authorization": "Bearer m"}


@pytest.fixture
def managers(tmp_path: Path) -> Path:
    return write(tmp_path / "managers", line_of("root", "m"))


def basic(password: str, user: str = "") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


@pytest.mark.parametrize("page", PAGES)
def test_a_closed_page_opens_for_who_manages_alone(
    start_service: StartService, managers: Path, page: str
) -> None:
    service = start_service(api_keys=("a",), management_keys_file=managers, closed_pages=(page,))
    for path in ALL:
        is_closed = path in PAGES[page]
        for headers in ({}, {"Authorization": "Bearer a"}, basic("a"), {"Authorization": "Basic"}):
            response = service.client.get(path, headers=headers)
            assert response.status_code == (401 if is_closed else 200), path
            if is_closed:
                assert response.headers["content-type"] == "application/problem+json"
                bearer, basic_ = response.headers.get_list("www-authenticate")
                assert (bearer, basic_.split()[0]) == ("Bearer", "Basic")
        for headers in (MANAGER, basic("m"), basic("m", "anybody")):
            assert service.client.get(path, headers=headers).status_code == 200
    for method in ("HEAD", "POST", "OPTIONS", "PUT"):
        assert service.client.request(method, PAGES[page][0]).status_code == 401


def test_where_no_key_manages_a_closed_page_is_not_there(start_service: StartService) -> None:
    service = start_service(api_keys=("a",), closed_pages=("board", "docs", "metrics"))
    nothing = service.client.get("/nothing").json()
    for path in ALL:
        response = service.client.get(path, headers={"Authorization": "Bearer a"})
        assert response.status_code == 404
        assert response.json()["type"] == nothing["type"]
        assert response.json()["title"] == nothing["title"]
    for path in ("/livez", "/readyz"):
        assert service.client.get(path).status_code == 200


SPELLINGS = (
    *("//docs", "/docs/", "/DOCS", "/./docs", "/x/../docs", "/%64ocs", "/docs?x", "/docs%00"),
    *("/docs;x", "/docs%2f", "/%2fdocs", "docs", "http://elsewhere/docs", "/board/../docs"),
    *("/static-offline-docs//swagger-ui.css", "/board/../static-offline-docs/swagger-ui.css"),
)


def test_no_other_spelling_opens_it(start_service: StartService, managers: Path) -> None:
    url = httpx2.URL(start_service(management_keys_file=managers, closed_pages=("docs",)).url)
    statuses = {}
    for target in SPELLINGS:
        connection = http.client.HTTPConnection(url.host, url.port, timeout=10)
        connection.putrequest("GET", target)  # as it stands, which other clients tidy up
        connection.endheaders()
        answer = connection.getresponse()
        statuses[target] = answer.status
        connection.close()
    assert set(statuses.values()) <= {400, 401, 404}
    assert statuses["/%64ocs"] == statuses["/docs?x"] == 401


def test_readiness_says_yes_and_no_to_all_and_why_to_who_manages(
    start_service: StartService, managers: Path
) -> None:
    service = start_service(
        management_keys_file=managers, closed_pages=("readyz",), readiness_seconds=0.001
    )
    assert service.client.get("/readyz").json() == {"ready": True, "models": {}}
    assert set(service.client.get("/readyz", headers=MANAGER).json()["models"]) == {
        "contracts",
        "general",
        "sentiment",
        "topics",
    }
    answers = service.triton.models.pop("topics")
    try:
        soon(lambda: service.client.get("/readyz").status_code == 503)
        assert service.client.get("/readyz").json() == {"ready": False, "models": {}}
        assert service.client.get("/readyz", headers=MANAGER).json()["models"]["topics"] != "ok"
    finally:
        service.triton.models["topics"] = answers
    assert service.client.get("/livez").status_code == 200


def test_open_pages_ask_for_nothing(service: Service) -> None:
    for path in ALL:
        assert service.client.get(path).status_code == 200
    assert service.client.get("/readyz").json()["models"]["topics"] == "ok"


def test_a_management_key_asks_for_no_answers(start_service: StartService, managers: Path) -> None:
    service = start_service(api_keys=("a",), management_keys_file=managers)
    response = service.post("/v1/classify", {"input": "good"}, headers=MANAGER)
    assert response.status_code == 401
    assert "send a caller's key" in response.json()["detail"]


@pytest.mark.parametrize("given", ["metrics,docs", "docs metrics"])
def test_pages_of_a_variable(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUB50_CLOSED_PAGES", given)
    assert set(Settings().closed_pages) == {"docs", "metrics"}


@pytest.mark.parametrize("given", ["livez", "all", "metric"])
def test_what_is_no_page_ends_the_start(given: str) -> None:
    with pytest.raises(ServeError, match=r"closed_pages .*'board', 'docs', 'metrics' or 'readyz'"):
        read_settings({"closed_pages": given})

"""The board's routes, over a fake Triton."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.board import history
from service.board.live import LiveBoard
from tests.service.conftest import Service, StartService

SAMPLE_SECONDS = 0.2


@pytest.fixture(autouse=True)
def _quick_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "SAMPLE_SECONDS", SAMPLE_SECONDS)


def board(service: Service) -> dict[str, Any]:
    response = service.client.get("/v1/board")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def once(service: Service, condition: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The board as soon as the condition holds of it."""
    deadline = time.monotonic() + 15
    while not condition(found := board(service)):
        assert time.monotonic() < deadline, found
        time.sleep(SAMPLE_SECONDS / 4)
    return found


def test_requests_show_up_with_what_became_of_them(start_service: StartService) -> None:
    service = start_service()
    for _ in range(6):
        assert service.post("/v1/classify", {"input": ["good", "bad"]}).status_code == 200
    service.post("/v1/summarize", {"input": "A film. A term. " * 200})
    service.triton.failure = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    assert service.post("/v1/classify", {"input": "good"}).status_code == 429
    found = once(service, lambda b: b["windows"][0]["interactive"]["requests"] == 7)
    for window in found["windows"]:
        assert window["interactive"]["answered"] == 6
        assert window["interactive"]["p50_ms"] <= window["interactive"]["p99_ms"]
        assert window["refused"] == {"queue": window["interactive"]["refused"]} == {"queue": 1}
        assert window["bulk"]["answered"] == 1
        assert window["models"]["sentiment"]["answered"] == 6
        assert {s["stage"] for s in window["stages"]} == {
            "admit",
            "tokenize",
            "infer",
            "postprocess",
        }
        assert window["calls"]["count"] == sum(window["calls"]["rows"]) >= 7
    assert [w["seconds"] for w in found["windows"]] == [60, 300, 600]
    columns = found["charts"].values()
    assert len({len(column) for column in columns}) == 1
    assert any(value is not None for value in found["charts"]["p99_ms"])


def test_the_models_are_those_served(start_service: StartService) -> None:
    service = start_service()
    found = once(service, lambda b: b["triton_answers"])
    models = {model.pop("name"): model for model in found["models"]}
    assert set(models) == {"sentiment", "topics", "general", "contracts"}
    assert models["contracts"] == {
        "task": "summarize",
        "version": "1",
        "precision": "int8",
        "backend": "onnxruntime",
        "answers": True,
        "fault": None,
    }


def test_an_idle_service_has_no_figures(start_service: StartService) -> None:
    found = once(start_service(), lambda b: len(b["charts"]["seconds"]) > 2)
    assert found["windows"][0]["interactive"]["p99_ms"] is None
    assert set(found["charts"]["p99_ms"]) == {None}


def test_a_triton_or_a_model_that_does_not_answer_is_said_so(start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    once(service, lambda b: b["triton_answers"] and b["models"][0]["answers"])
    service.triton.failure = (grpc.StatusCode.INTERNAL, "the engine broke")
    found = once(service, lambda b: b["models"][0]["answers"] is False)
    assert "Triton could not run the model" in found["models"][0]["fault"]
    assert found["triton_answers"] is True
    service.triton.live = False
    once(service, lambda b: b["triton_answers"] is False)
    service.triton.live, service.triton.failure = True, None
    once(service, lambda b: b["triton_answers"] and b["models"][0]["answers"])


def test_a_triton_that_hangs_does_not_hold_up_the_board(start_service: StartService) -> None:
    service = start_service()
    service.triton.delay_seconds = 5.0
    begun = time.monotonic()
    for _ in range(10):
        board(service)
    assert time.monotonic() - begun < 3


def test_many_viewers_cost_one_rendering_and_one_question_a_sample(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SAMPLE_SECONDS", 60.0)
    service = start_service(readiness_seconds=0.01)
    once(service, lambda b: b["triton_answers"])
    time.sleep(0.1)
    rendered = []
    render = LiveBoard._render

    def count(*arguments: Any) -> Any:
        rendered.append(arguments)
        return render(*arguments)

    monkeypatch.setattr(LiveBoard, "_render", count)
    for _ in range(20):
        board(service)
    assert len(rendered) == 0
    assert len(service.triton.requests) == 4


@pytest.mark.parametrize("source", ["api_keys", "api_keys_file"])
def test_it_asks_for_no_key_and_what_it_offers_to_try_does(
    start_service: StartService, tmp_path: Path, source: str
) -> None:
    file = tmp_path / "keys"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    service = start_service(**{source: file if source == "api_keys_file" else ("hunter2",)})
    assert board(service)["keys_needed"] is True
    assert service.client.get("/").status_code == 200
    assert service.post("/v1/classify", {"input": "good"}).status_code == 401
    assert "hunter2" not in service.client.get("/v1/board").text
    assert board(start_service())["keys_needed"] is False


def test_no_text_of_a_client_is_in_it(start_service: StartService) -> None:
    service = start_service()
    service.post("/v1/classify", {"input": "marmalade", "model": "marmalade\n"})
    service.post("/v1/classify", {"input": "marmalade"})
    once(service, lambda b: b["windows"][0]["interactive"]["requests"] == 2)
    assert "marmalade" not in service.client.get("/v1/board").text


def test_the_page_and_all_that_it_links_come_from_here(service: Service) -> None:
    page = service.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    links = set(re.findall(r'(?:src|href)="([^"#]+)"', page.text))
    assert {"board/board.js", "board/board.css", "docs", "metrics"} <= links
    for link in sorted(links):
        found = service.client.get(f"/{link}")
        assert found.status_code == 200, link
        if link.endswith(".js"):
            assert found.headers["content-type"].startswith("text/javascript")
            links_of_script = set(re.findall(r'from "\./([^"]+)"', found.text))
            for file in links_of_script:
                assert service.client.get(f"/board/{file}").status_code == 200


def test_no_page_or_script_holds_what_the_policy_forbids(service: Service) -> None:
    page = service.client.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)
    assert service.client.get("/board/nothing.js").status_code == 404
    assert service.client.get("/board/../schema.py").status_code == 404


def test_the_documentation_has_its_schema(service: Service) -> None:
    document = service.client.get("/openapi.json").json()
    assert "/" not in document["paths"]
    answer = document["paths"]["/v1/board"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Board")
    assert json.dumps(document["components"]["schemas"]["Board"])

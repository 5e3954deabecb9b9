"""Liveness, readiness by a real inference, metrics, documentation."""

from __future__ import annotations

import re

import grpc

from service.metrics import REQUEST_EDGES_SECONDS
from tests.service.conftest import Service, StartService


def test_ready_only_while_every_model_answers(start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    assert service.client.get("/readyz").json()["ready"] is True
    service.triton.failure = (grpc.StatusCode.INTERNAL, "Stub process 'x' is not healthy")
    response = None
    for _ in range(50):
        response = service.client.get("/readyz")
        if response.status_code == 503:
            break
    assert response is not None
    assert response.status_code == 503
    assert set(response.json()["models"]) == {"sentiment", "topics", "general", "contracts"}
    assert "ok" not in response.json()["models"].values()
    assert service.client.get("/livez").status_code == 200


def test_readiness_asks_triton_seldom(start_service: StartService) -> None:
    service = start_service(readiness_seconds=60)
    for _ in range(10):
        service.client.get("/readyz")
    assert len(service.triton.requests) == 4


def test_requests_are_counted_by_route_model_class_and_status(start_service: StartService) -> None:
    service = start_service()
    service.post("/v1/classify", {"input": "good"})
    service.post("/v1/classify", {"input": ["the bad film"] * 128})
    service.post("/v1/classify", {"input": "good", "model": "secret\n" * 10})
    service.post("/v1/classify", {"input": ""})
    text = service.client.get("/metrics").text
    counted = re.findall(r"sub50_request_duration_seconds_count\{(.*?)\} (\S+)", text)
    assert {(labels, float(value)) for labels, value in counted} == {
        ('class="interactive",model="sentiment",route="/v1/classify",status="200"', 1.0),
        ('class="bulk",model="sentiment",route="/v1/classify",status="200"', 1.0),
        ('class="interactive",model="none",route="/v1/classify",status="404"', 1.0),
        ('class="interactive",model="sentiment",route="/v1/classify",status="422"', 1.0),
    }
    assert "secret" not in text
    assert 'sub50_engine_info{backend="onnxruntime",model="sentiment"' in text
    assert "sub50_tokens_total" in text
    assert "sub50_inflight 0.0" in text


def test_the_promise_is_an_edge_of_the_histogram() -> None:
    assert 0.05 in REQUEST_EDGES_SECONDS
    assert list(REQUEST_EDGES_SECONDS) == sorted(REQUEST_EDGES_SECONDS)


def test_the_documentation_asks_no_other_host(service: Service) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/"), link
        assert service.client.get(link).status_code == 200
    paths = service.client.get("/openapi.json").json()["paths"]
    assert {"/v1/classify", "/v1/summarize", "/predict", "/hf/{model}", "/readyz"} <= set(paths)
    body = paths["/v1/classify"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"input", "model", "top_k", "truncate", "raw_scores"}

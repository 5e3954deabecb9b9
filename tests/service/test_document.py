"""The OpenAPI document says what clients get: media types, headers, every status, the key."""

from __future__ import annotations

from typing import Any

import grpc
import jsonschema
import pytest

from service.api import docs
from service.api.document import Document
from tests.service.conftest import Service, StartService

RUN_A_MODEL = {"400", "401", "404", "408", "413", "415", "422", "429", "503", "504"}
STATUSES = {
    ("post", "/v1/classify"): RUN_A_MODEL,
    ("post", "/v1/summarize"): RUN_A_MODEL,
    ("post", "/predict"): RUN_A_MODEL,
    ("post", "/hf/{model}"): RUN_A_MODEL,
    ("get", "/v1/models"): {"401", "429"},
    ("get", "/v1/models/{name}"): {"401", "404", "429"},
    ("get", "/readyz"): {"503"},
}
FAILURES: list[tuple[str, Any, dict[str, str], int]] = [
    ("/v1/classify", None, {}, 400),
    ("/v1/classify", {"input": "good", "model": "none"}, {}, 404),
    ("/v1/classify", {"input": ["good"] * 200}, {}, 413),
    ("/v1/classify", {"input": "good"}, {"Content-Type": "text/plain"}, 415),
    ("/v1/classify", {"input": 5}, {}, 422),
    ("/v1/classify", {"input": "good"}, {"X-Request-Timeout-Ms": "0.0001"}, 504),
    ("/hf/none", {"inputs": "good"}, {}, 404),
    ("/predict", {"inputs": ["a", "b"]}, {}, 422),
]


def document_of(service: Service) -> Document:
    document: Document = service.client.get("/openapi.json").json()
    return document


def schema_of(document: Document, answer: Document, media_type: str) -> Document:
    schema: Document = {**answer["content"][media_type]["schema"]}
    return {**schema, "components": document["components"]}


def check_answer(document: Document, method: str, path: str, response: Any) -> None:
    """Status, media type, headers and body are those of the document."""
    answer = document["paths"][path][method]["responses"][str(response.status_code)]
    media_type = response.headers["content-type"].partition(";")[0]
    assert set(answer["content"]) == {media_type}
    jsonschema.validate(response.json(), schema_of(document, answer, media_type))
    for name, header in answer.get("headers", {}).items():
        assert not header["required"] or name.lower() in response.headers


def test_every_status_of_every_route_is_there(service: Service) -> None:
    document = document_of(service)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            expected = STATUSES.get((method, path), set())
            assert set(operation["responses"]) == {"200", *expected}, path


def test_problems_are_problems(service: Service) -> None:
    for path, item in document_of(service)["paths"].items():
        for operation in item.values():
            for status, answer in operation["responses"].items():
                problem = int(status) >= 400 and path != "/readyz"
                assert problem == ("application/problem+json" in answer["content"])


@pytest.mark.parametrize(("path", "body", "headers", "status"), FAILURES)
def test_failures_are_as_documented(
    service: Service, path: str, body: Any, headers: dict[str, str], status: int
) -> None:
    arguments: dict[str, Any] = {"json": body} if body is not None else {"content": b""}
    response = service.client.post(path, headers=headers, **arguments)
    assert response.status_code == status
    declared = "/hf/{model}" if path.startswith("/hf/") else path
    check_answer(document_of(service), "post", declared, response)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/classify", {"input": ["good", "bad"], "top_k": 1}),
        ("/v1/summarize", {"input": "Good film. Bad film.", "ratio": 1}),
        ("/predict", {"inputs": "good"}),
        ("/predict", {"inputs": [["good"], ["bad"]]}),
        ("/hf/sentiment", {"inputs": "good"}),
        ("/hf/general", {"inputs": "good"}),
    ],
)
def test_answers_are_as_documented(service: Service, path: str, body: Any) -> None:
    response = service.post(path, body)
    assert response.status_code == 200
    declared = "/hf/{model}" if path.startswith("/hf/") else path
    check_answer(document_of(service), "post", declared, response)


def test_a_refusal_says_when_to_try_again(service: Service) -> None:
    service.triton.failure = (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size")
    response = service.post("/v1/classify", {"input": "a good film"})
    assert response.status_code == 429
    check_answer(document_of(service), "post", "/v1/classify", response)


def test_a_key_over_its_rate_is_as_documented(start_service: StartService) -> None:
    service = start_service(api_keys=["k"], key_requests_per_second=0.01)
    headers = {"Authorization": "Bearer k"}
    assert service.client.get("/v1/models", headers=headers).status_code == 200
    document = document_of(service)
    check_answer(document, "get", "/v1/models", service.client.get("/v1/models", headers=headers))
    limited = service.post("/predict", {"inputs": "good"}, headers=headers)
    assert limited.status_code == 429
    check_answer(document, "post", "/predict", limited)


def test_unready_is_as_documented(start_service: StartService) -> None:
    service = start_service(readiness_seconds=1e-6)  # asked anew each time
    check_answer(document_of(service), "get", "/readyz", service.client.get("/readyz"))
    service.triton.models.pop("topics")
    try:
        response = service.client.get("/readyz")
    finally:
        service.triton.models["topics"] = service.triton.models["sentiment"]
    assert response.status_code == 503
    check_answer(document_of(service), "get", "/readyz", response)


def test_the_key_is_asked_for_where_there_is_one(
    service: Service, start_service: StartService
) -> None:
    assert "securitySchemes" not in document_of(service)["components"]
    document = document_of(keyed := start_service(api_keys=["k"]))
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            asks = "401" in STATUSES.get((method, path), set())
            assert operation.get("security") == ([{"bearer": []}] if asks else None)
    check_answer(document, "get", "/v1/models", keyed.client.get("/v1/models"))
    check_answer(document, "post", "/predict", keyed.post("/predict", {"inputs": "good"}))


def test_it_is_made_once(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bytes] = []
    encoded = docs.encoded

    def counted(document: Document) -> bytes:
        made.append(encoded(document))
        return made[-1]

    monkeypatch.setattr(docs, "encoded", counted)
    client = start_service().client
    answers = [client.get("/openapi.json").content for _ in range(3)]
    assert len(made) == 1
    assert answers == made * 3


def test_no_path_is_sent_elsewhere(service: Service) -> None:
    response = service.client.get("/v1/models/", headers={"Host": "elsewhere.test"})
    assert response.status_code == 404
    assert "location" not in response.headers

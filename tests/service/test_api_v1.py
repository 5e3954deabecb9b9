"""The HTTP contract of /v1, over a fake Triton."""

from __future__ import annotations

import grpc
import pytest

from tests.service.conftest import Service, StartService

DOCUMENT = (
    "The term of the contract is good. The film is bad, bad, bad. A contract is the term. "
    "The good film is a good film. The term is bad."
)


def test_one_text_has_every_label_best_first(service: Service) -> None:
    response = service.post("/v1/classify", {"input": "a good film"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert (body["model"], body["version"]) == ("sentiment", "1")
    (result,) = body["results"]
    assert result["label"] == result["scores"][0]["label"] == "positive"
    assert result["score"] == result["scores"][0]["score"] > 0.5
    assert sum(item["score"] for item in result["scores"]) == pytest.approx(1, abs=1e-5)
    assert (result["tokens"], result["truncated"]) == (5, False)


def test_a_list_is_answered_in_order_and_each_as_if_alone(service: Service) -> None:
    texts = ["good", "the bad film . " * 30, "contract term", "a film, bad"]
    together = service.post("/v1/classify", {"input": texts}).json()["results"]
    alone = [service.post("/v1/classify", {"input": text}).json()["results"][0] for text in texts]
    assert together == alone


def test_top_k_and_raw_scores(service: Service) -> None:
    body = {"input": "good", "model": "topics", "top_k": 2, "raw_scores": True}
    (result,) = service.post("/v1/classify", body).json()["results"]
    assert len(result["scores"]) == 2


def test_long_texts_are_cut_where_asked(service: Service) -> None:
    text = "good " * 600 + "bad " * 600
    answers = {
        side: service.post("/v1/classify", {"input": text, "truncate": side}).json()["results"][0]
        for side in ("right", "left")
    }
    assert all(answer["truncated"] and answer["tokens"] == 512 for answer in answers.values())
    assert answers["right"]["score"] != answers["left"]["score"]
    refused = service.post("/v1/classify", {"input": ["good", text], "truncate": "error"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "input.1"


@pytest.mark.parametrize("model", ["general", "contracts"])
def test_every_summary_sentence_is_a_slice_of_its_document(service: Service, model: str) -> None:
    documents = [DOCUMENT, "One 😀 sentence. Another\u00a0one, good? The film.", DOCUMENT * 40]
    body = {"input": documents, "model": model, "max_sentences": 2}
    results = service.post("/v1/summarize", body).json()["results"]
    for document, result in zip(documents, results, strict=True):
        sentences = result["sentences"]
        assert 1 <= len(sentences) <= 2
        for sentence in sentences:
            assert document[sentence["start"] : sentence["end"]] == sentence["text"]
        starts = [sentence["start"] for sentence in sentences]
        assert starts == sorted(starts)
    assert results[0]["source_sentences"] == 5


def test_summary_limits_hold_together(service: Service) -> None:
    body = {"input": DOCUMENT, "max_words": 8, "ratio": 0.9, "max_sentences": 5}
    (result,) = service.post("/v1/summarize", body).json()["results"]
    assert 0 < len(result["summary"].split()) <= 8
    whole = service.post("/v1/summarize", {"input": DOCUMENT, "ratio": 1}).json()
    assert len(whole["results"][0]["sentences"]) >= 3


def test_three_sentences_are_the_default(service: Service) -> None:
    (result,) = service.post("/v1/summarize", {"input": DOCUMENT}).json()["results"]
    assert len(result["sentences"]) == 3


def test_ids_and_stage_times_come_back(service: Service) -> None:
    headers = {"X-Request-ID": "abc-1"}
    response = service.post("/v1/classify", {"input": "good"}, headers=headers)
    assert response.headers["x-request-id"] == "abc-1"
    stages = [part.split(";")[0] for part in response.headers["server-timing"].split(", ")]
    assert stages == ["admit", "tokenize", "infer", "postprocess", "total"]
    strange = service.post("/v1/classify", {"input": "good"}, headers={"X-Request-ID": "a b" * 99})
    assert len(strange.headers["x-request-id"]) == 32


def test_the_callers_deadline_reaches_triton_and_is_kept(service: Service) -> None:
    service.triton.delay_seconds = 0.5
    headers = {"X-Request-Timeout-Ms": "80"}
    response = service.post("/v1/classify", {"input": "good"}, headers=headers)
    assert response.status_code == 504
    assert response.elapsed.total_seconds() < 0.45
    timeout_us = service.triton.requests[-1].parameters["timeout"].int64_param
    assert 0 < timeout_us <= 80_000


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf", "1_000", "1e999", ".5"])
def test_a_wrong_deadline_is_named(service: Service, value: str) -> None:
    headers = {"X-Request-Timeout-Ms": value}
    response = service.post("/v1/classify", {"input": "good"}, headers=headers)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "header.X-Request-Timeout-Ms"


def test_bulk_requests_are_cut_into_slices_of_second_priority(service: Service) -> None:
    texts = ["the bad film . " * 20] * 40
    response = service.post("/v1/classify", {"input": texts})
    assert response.status_code == 200
    # Without an id: whether a model lives that nobody asks.
    slices = [request for request in service.triton.requests if request.id]
    assert len(slices) > 4
    for request in slices:
        rows, length = request.inputs[0].shape
        assert rows * length <= 512
        assert request.parameters["priority"].uint64_param == 2


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size", 429),
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired", 429),
        (grpc.StatusCode.UNAVAILABLE, "connection refused", 503),
        (grpc.StatusCode.INTERNAL, "Stub process 'x' is not healthy", 503),
        (grpc.StatusCode.INTERNAL, "boom", 503),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "late", 504),
    ],
)
def test_what_triton_refuses_is_never_a_500(
    service: Service, code: grpc.StatusCode, message: str, status: int
) -> None:
    service.triton.failure = (code, message)
    for body in ({"input": "good"}, {"input": ["the bad film"] * 100}):
        response = service.post("/v1/classify", body)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        if status == 429:
            assert response.headers["retry-after"] == "1"


def test_work_over_the_admitted_tokens_is_refused_at_once(start_service: StartService) -> None:
    import threading

    service = start_service(inflight_tokens=100)
    service.triton.delay_seconds = 1.0
    first = threading.Thread(target=service.post, args=("/v1/classify", {"input": "good " * 90}))
    first.start()
    while not service.triton.requests:
        pass
    refused = service.post("/v1/classify", {"input": "good " * 90})
    first.join()
    assert refused.status_code == 429
    assert refused.elapsed.total_seconds() < 0.5
    assert refused.json()["reason"] == "inflight_tokens"
    metrics = service.client.get("/metrics").text
    assert 'sub50_refused_total{reason="inflight_tokens"} 1.0' in metrics


def test_models_and_their_cards(service: Service) -> None:
    models = service.client.get("/v1/models").json()["models"]
    assert [m["name"] for m in models] == ["contracts", "general", "sentiment", "topics"]
    shown = service.client.get("/v1/models/sentiment").json()
    assert shown["labels"] == ["negative", "positive"]
    assert service.client.get("/v1/models/nope").status_code == 404


def test_keys_are_asked_for_where_they_are_set(start_service: StartService) -> None:
    service = start_service(api_keys=("first", "second"))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic first"}):
        for response in (
            service.post("/v1/classify", {"input": "good"}, headers=headers),
            service.client.get("/v1/models", headers=headers),
        ):
            assert response.status_code == 401
            assert response.headers["www-authenticate"] == "Bearer"
    for key in ("first", "second"):
        headers = {"Authorization": f"Bearer {key}"}
        assert service.post("/v1/classify", {"input": "good"}, headers=headers).status_code == 200
    assert service.client.get("/livez").status_code == 200

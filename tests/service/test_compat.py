"""Clients of other servers work unchanged; Hugging Face's own client is the test."""

from __future__ import annotations

from typing import Any

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.service.conftest import Service

DOCUMENT = "The term of the contract is good. The film is bad, bad. A contract is the term. Good."


def hub_client(service: Service, model: str) -> InferenceClient:
    # A token, so that the client does not look for one of the user's.
    return InferenceClient(model=f"{service.url}/hf/{model}", token="none")


def test_the_hub_client_classifies(service: Service) -> None:
    labels = hub_client(service, "sentiment").text_classification("a good film")
    assert [item.label for item in labels] == ["positive", "negative"]
    assert labels[0].score > labels[1].score
    first = hub_client(service, "topics").text_classification("a good film", top_k=1)
    assert len(first) == 1


def test_the_hub_client_summarizes(service: Service) -> None:
    client = hub_client(service, "general")
    assert client.summarization(DOCUMENT).summary_text
    one = client.summarization(DOCUMENT, generate_parameters={"max_sentences": 1}).summary_text
    assert one in DOCUMENT


def test_the_hub_client_is_told_what_is_wrong(service: Service) -> None:
    with pytest.raises(HfHubHTTPError) as error:
        hub_client(service, "nope").text_classification("good")
    assert error.value.response.status_code == 404


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"top_k": "all"}, "parameters.top_k"),
        ({"function_to_apply": "sigmoid"}, "parameters.function_to_apply"),
        ({"temperature": 1}, "parameters.temperature"),
    ],
)
def test_unknown_parameters_are_named(
    service: Service, parameters: dict[str, Any], field: str
) -> None:
    response = service.post("/hf/sentiment", {"inputs": "good", "parameters": parameters})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("inputs", ["a good film", ["a good film"]])
def test_predict_of_a_single_text_is_a_flat_list(service: Service, inputs: Any) -> None:
    labels = service.post("/predict", {"inputs": inputs}).json()
    assert [item["label"] for item in labels] == ["positive", "negative"]


def test_predict_of_a_batch_is_a_list_of_lists(service: Service) -> None:
    rows = service.post("/predict", {"inputs": [["good"], ["bad"]], "raw_scores": True}).json()
    assert [len(row) for row in rows] == [2, 2]


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        (["a", "b"], "inputs"),
        ([], "inputs"),
        ([["a", "b"]], "inputs.0"),
        ([[]], "inputs.0"),
        (5, "inputs"),
        ([["a"], 5], "inputs.1"),
        ("", "input.0"),
    ],
)
def test_predict_names_what_it_cannot_take(service: Service, inputs: Any, field: str) -> None:
    response = service.post("/predict", {"inputs": inputs})
    assert response.status_code == 422
    assert field in [item["field"] for item in response.json()["errors"]]


def test_predict_cuts_only_when_asked(service: Service) -> None:
    body = {"inputs": "good " * 600}
    assert service.post("/predict", body).status_code == 422
    assert service.post("/predict", body | {"truncate": True}).status_code == 200

"""The OpenAPI document: what FastAPI knows of the routes, and what only we know of the answers.

FastAPI takes every answer for JSON of the route's own media type, and knows no header of an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from service.problems import MEDIA_TYPE

Document = dict[str, Any]

BEARER = {"type": "http", "scheme": "bearer", "description": "One of the keys of this service."}
MANAGEMENT = {"type": "http", "scheme": "bearer", "description": "A key that manages."}
# The tag of the routes that ask for one.
MANAGES = "management"
REQUEST_ID_HEADER: Document = {
    "description": "The request's id, as it was sent or one of ours; log lines and traces have it.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:/+=-]{1,128}$"},
}
TIMING_HEADER: Document = {
    "description": "Milliseconds of each stage, and in all.",
    "schema": {"type": "string"},
}
RETRY_HEADER: Document = {
    "description": "Seconds after which another try makes sense.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}
CHALLENGE_HEADER: Document = {"required": True, "schema": {"type": "string"}}
REQUEST_HEADERS: list[Document] = [
    {
        "name": "X-Request-ID",
        "in": "header",
        "description": "Your id of the request; one that is longer than 128 characters, or has "
        "others than letters, digits and ._:/+=- in it, is replaced.",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Request-Timeout-Ms",
        "in": "header",
        "description": "Your deadline in milliseconds; an answer that would come later is 504.",
        "schema": {"type": "number", "exclusiveMinimum": 0},
    },
]
# What FastAPI would answer to a parameter that is not valid; paths take any text here.
NEVER_SENT = ("HTTPValidationError", "ValidationError")
# The first model of the list, asked for by its name.
LINKS: Document = {
    "Card": {
        "operationId": "show_model",
        "description": "The card of the first model.",
        "parameters": {"name": "$response.body#/models/0/name"},
    },
    "Task": {
        "operationId": "huggingface",
        "description": "Ask the first model.",
        "parameters": {"model": "$response.body#/models/0/name"},
    },
}


def describe(app: FastAPI, asks_for_keys: bool) -> None:
    """Have the application give this document; `asks_for_keys`: some are configured."""
    plain = app.openapi

    def openapi() -> Document:
        # FastAPI keeps what it returned, so it is completed once.
        return app.openapi_schema or complete(plain(), asks_for_keys)

    # FastAPI's own way to change the document.
    app.openapi = openapi  # type: ignore[method-assign]


def complete(document: Document, asks_for_keys: bool) -> Document:
    """Add media types of problems, headers, links and the key to FastAPI's document."""
    schemes: Document = {}
    for operation in _operations(document):
        answers: Document = {
            status: answer
            for status, answer in operation["responses"].items()
            if not _refers_to(answer, NEVER_SENT[0])
        }
        operation["responses"] = answers
        manages = MANAGES in operation.get("tags", ())
        runs_a_model = "requestBody" in operation and not manages
        if runs_a_model:
            operation["parameters"] = [*operation.get("parameters", ()), *REQUEST_HEADERS]
        if manages:
            operation["security"] = [{MANAGES: []}]
            schemes[MANAGES] = MANAGEMENT
        elif asks_for_keys and "401" in answers:
            schemes["bearer"] = BEARER
            operation["security"] = [{"bearer": []}]
        for status, answer in answers.items():
            _complete_answer(status, answer, runs_a_model)
        if operation["operationId"] == "list_models":
            answers["200"]["links"] = LINKS
    for name in NEVER_SENT:
        document["components"]["schemas"].pop(name, None)
    if schemes:
        document["components"]["securitySchemes"] = schemes
    return document


def _operations(document: Document) -> Iterator[Document]:
    for item in document["paths"].values():
        yield from item.values()


def _complete_answer(status: str, answer: Document, runs_a_model: bool) -> None:
    problem = _refers_to(answer, "ProblemBody")
    if problem:
        answer["content"] = {MEDIA_TYPE: answer["content"]["application/json"]}
    headers: Document = {}
    if problem or runs_a_model:
        headers["X-Request-ID"] = {**REQUEST_ID_HEADER, "required": True}
    if runs_a_model:
        headers["Server-Timing"] = {**TIMING_HEADER, "required": True}
    if status == "429":
        headers["Retry-After"] = RETRY_HEADER
    if status == "503" and runs_a_model:
        headers["Retry-After"] = {**RETRY_HEADER, "required": False}
    if status == "401":
        headers["WWW-Authenticate"] = CHALLENGE_HEADER
    if headers:
        answer["headers"] = headers


def _refers_to(answer: Document, schema: str) -> bool:
    media = answer["content"].get("application/json", {})
    return str(media.get("schema", {}).get("$ref", "")).endswith(f"/{schema}")

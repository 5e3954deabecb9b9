"""The whole application in this process, over a stand-in for Triton, and its answers judged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import jsonschema
from fastapi import FastAPI

ROUTES = (
    ("POST", "/v1/classify"),
    ("POST", "/v1/summarize"),
    ("POST", "/predict"),
    ("POST", "/hf/sentiment"),
    ("POST", "/hf/general"),
    ("GET", "/v1/models"),
)
CONTENT_TYPES = ("application/json", "application/json; charset=utf-8", "text/plain", "")
# Texts of a contract's length would take the stand-in all the time there is.
SETTINGS: dict[str, Any] = {"interactive_timeout_ms": 20_000, "max_body_bytes": 100_000}


class ServerFault(Exception):
    """An answer with 5xx."""


class UndocumentedAnswer(Exception):
    """An answer that the OpenAPI document does not have."""


@dataclass(frozen=True)
class Answer:
    """What the application sent; header names are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


def request_of(data: bytes) -> tuple[str, str, str, bytes]:
    """Method, path, content type and body of an input: its first byte chooses the first three."""
    choice = data[0] if data else 0
    method, path = ROUTES[choice % len(ROUTES)]
    content_type = CONTENT_TYPES[choice // len(ROUTES) % len(CONTENT_TYPES)]
    return method, path, content_type, data[1:]


async def ask(app: FastAPI, method: str, path: str, content_type: str, body: bytes) -> Answer:
    """Ask the application as a server would; whatever it raises comes through."""
    headers = [(b"host", b"localhost"), (b"content-length", str(len(body)).encode())]
    if content_type:
        headers.append((b"content-type", content_type.encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
    }
    received = False
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal received
        if received:
            await asyncio.Event().wait()  # the client stays until it is answered
        received = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent[0]["headers"]}
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], found, content)


class Judge:
    """Holds answers to the application's own document."""

    def __init__(self, app: FastAPI) -> None:
        self._document = app.openapi()
        self._validators: dict[tuple[str, int], Any] = {}

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Check status, media type, headers and body.

        Raises:
            ServerFault: the answer is a 5xx.
            UndocumentedAnswer: the document does not have it.
        """
        declared = "/hf/{model}" if path.startswith("/hf/") else path
        if answer.status >= 500:
            raise ServerFault(f"{method} {path}: {answer.status}")
        answers = self._document["paths"][declared][method.lower()]["responses"]
        if str(answer.status) not in answers:
            raise UndocumentedAnswer(f"{method} {path}: {answer.status}")
        known = answers[str(answer.status)]
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        if media_type not in known["content"]:
            raise UndocumentedAnswer(f"{method} {path}: {answer.status} as {media_type!r}")
        for name, header in known.get("headers", {}).items():
            if header.get("required") and name.lower() not in answer.headers:
                raise UndocumentedAnswer(f"{method} {path}: {answer.status} without {name}")
        self._check_body(declared, answer, known["content"][media_type]["schema"])

    def _check_body(self, declared: str, answer: Answer, schema: dict[str, Any]) -> None:
        key = declared, answer.status
        if key not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[key] = jsonschema.Draft202012Validator(whole)
        try:
            self._validators[key].validate(json.loads(answer.body))
        except (ValueError, jsonschema.ValidationError) as error:
            told = str(error)[:300]
            raise UndocumentedAnswer(
                f"{declared}: {answer.status} with a wrong body: {told}"
            ) from None

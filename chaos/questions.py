"""Requests whose right answers are known, because they were asked before anything was broken."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chaos.errors import ChaosError
from loadtest.texts import make_text

# Answers may differ so much with what shares their batch; the gate holds engines to it.
SCORE_TOLERANCE = 2e-3
# Enough for any answer of an idle service; the promise is not what is asked for here.
PATIENT_MS = 20_000
# Model, route, kind of text, and how many of forty requests go there: every engine is asked.
SHARES = (
    ("sentiment", "/v1/classify", "sentence", 20),
    ("topics", "/v1/classify", "sentence", 14),
    ("general", "/v1/summarize", "clause", 3),
    ("contracts", "/v1/summarize", "clause", 3),
)


@dataclass(frozen=True)
class Question:
    """A whole HTTP request, and the results that are right."""

    model: str
    request: bytes
    results: Sequence[Mapping[str, Any]]

    def is_right(self, content: bytes) -> bool:
        """Whether a 200's body holds these results: the same labels, sentences and scores."""
        try:
            answer = json.loads(content)
            given = answer["results"]
            return (
                bool(answer["model"] == self.model)
                and len(given) == len(self.results)
                and all(_same(one, other) for one, other in zip(given, self.results, strict=True))
            )
        except (ValueError, KeyError, TypeError):
            return False


def _same(one: object, other: object) -> bool:
    """Equal, but for numbers, which may differ by the tolerance."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= SCORE_TOLERANCE
    return one == other


def unlearned(host: str, port: int, seed: int = 1) -> list[Question]:
    """The requests alone, for whom answers are of no interest."""
    return [
        Question(model, _request(host, port, route, body), ())
        for model, route, body in _bodies(seed)
    ]


def learn(host: str, port: int, seed: int = 1) -> list[Question]:
    """Ask a service that is whole, and keep its answers.

    Raises:
        ChaosError: it does not answer all of them.
    """
    connection = http.client.HTTPConnection(host, port, timeout=PATIENT_MS / 1000)
    try:
        return [_learned(connection, *each) for each in _bodies(seed)]
    except (OSError, http.client.HTTPException) as error:
        raise ChaosError(f"the service gives no answers to learn: {error!r}") from error
    finally:
        connection.close()


def _bodies(seed: int) -> list[tuple[str, str, bytes]]:
    """Model, route and body of each, in an order drawn by chance."""
    source = random.Random(seed)
    bodies = [
        (model, route, json.dumps({"input": make_text(kind, source), "model": model}).encode())
        for model, route, kind, count in SHARES
        for _ in range(count)
    ]
    source.shuffle(bodies)
    return bodies


def _learned(
    connection: http.client.HTTPConnection, model: str, route: str, body: bytes
) -> Question:
    headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(PATIENT_MS)}
    connection.request("POST", route, body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != http.client.OK:
        raise ChaosError(f"a whole service answers {response.status}: {content[:300]!r}")
    request = _request(connection.host, connection.port, route, body)
    return Question(model, request, json.loads(content)["results"])


def _request(host: str, port: int, route: str, body: bytes) -> bytes:
    lines = [
        f"POST {route} HTTP/1.1",
        f"Host: {host}:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body

"""How answers are judged, and that the load is open."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from chaos import load as module
from chaos.connections import Answer, Connections
from chaos.load import Load, Outcome, Sent, judge
from chaos.questions import Question
from tests.chaos.server import Replies, reply, serving

RESULTS = [{"label": "positive", "score": 0.9, "truncated": False, "sentences": [{"start": 3}]}]
QUESTION = Question("sentiment", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", RESULTS)


def right(**changes: Any) -> bytes:
    return json.dumps({"model": "sentiment", "results": [RESULTS[0] | changes]}).encode()


def problem(status: int, changes: dict[str, Any] | None = None) -> Answer:
    body = {"type": "urn:sub50:problem:not-ready", "status": status} | (changes or {})
    headers = {"content-type": "application/problem+json"}
    return Answer(status, headers, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (right(), Outcome.RIGHT),
        (right(score=0.9015), Outcome.RIGHT),
        (right(score=0.91), Outcome.WRONG),
        (right(label="negative"), Outcome.WRONG),
        (right(sentences=[{"start": 4}]), Outcome.WRONG),
        (right(sentences=[]), Outcome.WRONG),
        (right(more=1), Outcome.WRONG),
        (right().replace(b"sentiment", b"topics"), Outcome.WRONG),
        (b'{"model": "sentiment", "results": []}', Outcome.WRONG),
        (b"{}", Outcome.WRONG),
        (b"[]", Outcome.WRONG),
        (b"no json", Outcome.WRONG),
    ],
)
def test_a_200_is_right_where_its_results_are(content: bytes, outcome: Outcome) -> None:
    assert judge(QUESTION, Answer(200, {}, content)) is outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (problem(429), Outcome.REFUSED),
        (problem(503), Outcome.REFUSED),
        (problem(504), Outcome.LATE),
        (problem(500), Outcome.FAILED),
        (problem(503, {"status": 429}), Outcome.FAILED),
        (problem(503, {"type": "about:blank"}), Outcome.FAILED),
        (problem(503, {"type": 7}), Outcome.FAILED),
        (Answer(503, {"content-type": "text/plain"}, b"no"), Outcome.FAILED),
        (Answer(404, {}, b""), Outcome.FAILED),
        (Answer(504, {}, b"from a proxy"), Outcome.FAILED),
    ],
)
def test_only_429_and_503_as_documented_are_refusals(answer: Answer, outcome: Outcome) -> None:
    assert judge(QUESTION, answer) is outcome


def loaded(replies: Replies, seconds: float = 0.5, rate: float = 60) -> list[Sent]:
    async def run() -> list[Sent]:
        async with serving(replies) as (port, _):
            connections = Connections("127.0.0.1", port)
            load = Load([QUESTION], lambda: connections, rate)
            await load.run(seconds)
            connections.close()
            return load.sent

    return asyncio.run(run())


def test_every_request_has_an_outcome() -> None:
    sent = loaded(lambda _: reply(200, right()))
    assert len(sent) > 10
    assert {each.outcome for each in sent} == {Outcome.RIGHT}


def test_a_hang_fails_once_patience_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.1)
    # Announces a body that never comes.
    sent = loaded(lambda _: b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert {each.why for each in sent} == {"no answer in time"}
    # An open loop: they were sent meanwhile.
    assert sent[5].began < (sent[0].ended or 0) + 0.3
    assert sent[-1].began - sent[0].began < 0.5


def test_a_broken_connection_fails() -> None:
    sent = loaded(lambda _: b"")
    assert {each.outcome for each in sent} == {Outcome.FAILED}


def test_in_time_is_right_and_within_the_promise() -> None:
    assert Sent(1.0, 1.04, Outcome.RIGHT).in_time
    assert not Sent(1.0, 1.06, Outcome.RIGHT).in_time
    assert not Sent(1.0, 1.01, Outcome.REFUSED).in_time
    assert not Sent(1.0).in_time


def test_a_load_that_is_stopped_sends_no_more_and_waits_for_answers() -> None:
    async def run() -> list[Sent]:
        async with serving(lambda _: reply(200, right())) as (port, _):
            connections = Connections("127.0.0.1", port)
            load = Load([QUESTION], lambda: connections, 60)
            sending = asyncio.create_task(load.run(60))
            await asyncio.sleep(0.3)
            load.stop()
            await asyncio.wait_for(sending, 2)
            connections.close()
            return load.sent

    sent = asyncio.run(run())
    assert 0 < len(sent) < 60
    assert all(each.ended for each in sent)

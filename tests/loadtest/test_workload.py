"""The requests of a run, ready to be sent."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from loadtest.plan import Plan
from loadtest.workload import Request, Workload, make_workload


def parts(request: Request) -> tuple[str, dict[str, str], Any]:
    head, _, body = request.content.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return first, headers, json.loads(body)


def sent(workload: Workload) -> list[Request]:
    return [workload.requests[index] for index in workload.request]


def test_classify_mixes_sentences_and_reviews() -> None:
    workload = make_workload(Plan(rate_per_second=500, duration_seconds=20))
    kinds = [request.kind for request in sent(workload)]
    assert abs(kinds.count("sentence") / len(kinds) - 0.7) < 0.02
    assert [workload.kinds[index] for index in workload.kind] == kinds
    first, headers, body = parts(workload.requests[0])
    assert first == "POST /v1/classify HTTP/1.1"
    assert headers["Host"] == "127.0.0.1:8080"
    assert body["model"] == "sentiment"


def test_summarize_goes_to_both_models() -> None:
    workload = make_workload(Plan(scenario="summarize", duration_seconds=20))
    assert {parts(request)[2]["model"] for request in sent(workload)} == {"general", "contracts"}


def test_mixed_has_a_few_contracts_with_more_patience() -> None:
    workload = make_workload(
        Plan(scenario="mixed", rate_per_second=500, duration_seconds=20, timeout_ms=700)
    )
    requests = sent(workload)
    contracts = [request for request in requests if request.kind == "contract"]
    assert 0.002 < len(contracts) / len(requests) < 0.01
    assert {request.timeout_us for request in contracts} == {120_000_000}
    assert {request.timeout_us for request in requests if request.kind == "review"} == {700_000}


def test_one_kind_alone() -> None:
    assert make_workload(Plan(texts="clause")).kinds == ("clause",)


def test_equal_plans_make_equal_workloads() -> None:
    first, again, other = (make_workload(Plan(seed=seed)) for seed in (5, 5, 6))
    assert first.requests == again.requests
    assert np.array_equal(first.request, again.request)
    assert np.array_equal(first.scheduled_us, again.scheduled_us)
    assert first.requests != other.requests


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(host="http://[::1]:9/under/", duration_seconds=1)
    monkeypatch.delenv("SUB50_API_KEY", raising=False)
    first, headers, _ = parts(make_workload(plan).requests[0])
    assert first == "POST /under/v1/classify HTTP/1.1"
    assert headers["Host"] == "[::1]:9"
    assert "Authorization" not in headers
    monkeypatch.setenv("SUB50_API_KEY", "secret")
    assert parts(make_workload(plan).requests[0])[1]["Authorization"] == "Bearer secret"

"""Spans of requests: the tree, whose trace they join, what goes on to Triton, how they end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is missing")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service.tracing import METHOD, OtelTracing
from tests.service.conftest import Service, StartService

STAGES = {"admit", "tokenize", "infer", "postprocess"}
CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{CALLER_TRACE}-{CALLER_SPAN}-01"


class Traced:
    """A service that traces, and the spans that it made."""

    def __init__(self, start_service: StartService, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        tracing = OtelTracing(SimpleSpanProcessor(self._exporter))
        self.service: Service = start_service(tracing=tracing, **settings)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.spans if span.name == name]
        return span


Start = Callable[..., Traced]


@pytest.fixture
def traced(start_service: StartService, monkeypatch: pytest.MonkeyPatch) -> Start:
    """`traced(**settings)` starts a service that traces."""
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    return lambda **settings: Traced(start_service, **settings)


def parent_id(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def test_a_request_is_a_tree_down_to_triton(traced: Start) -> None:
    run = traced()
    response = run.service.post(
        "/v1/classify", {"input": "a good film"}, headers={"X-Request-ID": "shop-17"}
    )
    assert response.status_code == 200
    server, client = run.named("POST /v1/classify"), run.named(METHOD)
    assert (server.kind, client.kind) == (SpanKind.SERVER, SpanKind.CLIENT)
    assert server.parent is None
    assert {span.name for span in run.spans} == STAGES | {server.name, METHOD}
    assert len(run.spans) == 6
    for stage in STAGES:
        span = run.named(stage)
        assert parent_id(span) == server.context.span_id
        assert server.start_time <= span.start_time <= span.end_time <= server.end_time
    infer = run.named("infer")
    assert parent_id(client) == infer.context.span_id
    assert infer.start_time <= client.start_time <= client.end_time <= infer.end_time
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/classify",
        "http.response.status_code": 200,
        "url.path": "/v1/classify",
        "url.scheme": "http",
        "sub50.request_id": "shop-17",
        "sub50.model": "sentiment",
        "sub50.class": "interactive",
        "sub50.tokens": 5,
    }
    assert client.attributes["rpc.response.status_code"] == "OK"
    assert client.attributes["sub50.rows"] == client.attributes["sub50.requests"] == 1
    assert server.resource.attributes["service.name"] == "sub50"


def test_the_callers_trace_is_joined_and_passed_on(traced: Start) -> None:
    run = traced()
    run.service.post("/hf/sentiment", {"inputs": "good"}, headers={"traceparent": TRACEPARENT})
    server, client = run.named("POST /hf/{model}"), run.named(METHOD)
    assert f"{server.context.trace_id:032x}" == CALLER_TRACE
    assert f"{parent_id(server):016x}" == CALLER_SPAN
    assert run.service.triton.metadata[-1]["traceparent"] == (
        f"00-{CALLER_TRACE}-{client.context.span_id:016x}-01"
    )


def test_a_caller_who_is_not_sampled_leaves_no_span_but_its_trace_goes_on(traced: Start) -> None:
    run = traced()
    headers = {"traceparent": TRACEPARENT[:-1] + "0"}
    assert run.service.post("/v1/classify", {"input": "x"}, headers=headers).status_code == 200
    assert run.spans == []
    passed_on = run.service.triton.metadata[-1]["traceparent"]
    assert passed_on.startswith(f"00-{CALLER_TRACE}-")
    assert passed_on.endswith("-00")


def test_a_malformed_traceparent_begins_a_new_trace(traced: Start) -> None:
    run = traced()
    headers = {"traceparent": "00-zz-1-01", "tracestate": "=,;"}
    assert run.service.post("/v1/classify", {"input": "x"}, headers=headers).status_code == 200
    assert run.named("POST /v1/classify").parent is None


def test_a_call_for_several_requests_is_linked_to_all_of_them(traced: Start) -> None:
    run = traced()
    run.service.triton.delay_seconds = 0.3
    with ThreadPoolExecutor(6) as clients:
        asked = [
            clients.submit(run.service.post, "/v1/classify", {"input": "good"}) for _ in range(6)
        ]
    assert all(answer.result().status_code == 200 for answer in asked)
    calls = [span for span in run.spans if span.name == METHOD]
    infers = {span.context.span_id for span in run.spans if span.name == "infer"}
    assert len(infers) == 6
    seen = [parent_id(call) for call in calls]
    seen += [link.context.span_id for call in calls for link in call.links]
    assert len(calls) < 6
    assert sorted(seen) == sorted(infers)
    for call in calls:
        assert call.attributes["sub50.requests"] == 1 + len(call.links)


def test_a_document_of_several_slices_has_a_span_for_each(traced: Start) -> None:
    run = traced()
    document = " ".join(f"The film {number} is a good film." for number in range(100))
    assert run.service.post("/v1/summarize", {"input": document}).status_code == 200
    calls = [span for span in run.spans if span.name == METHOD]
    assert len(calls) == len(run.service.triton.requests) > 1
    assert {parent_id(call) for call in calls} == {run.named("infer").context.span_id}


@pytest.mark.parametrize(
    ("failure", "status", "problem"),
    [
        ((grpc.StatusCode.UNAVAILABLE, "Exceeds maximum queue size"), 429, "queue-full"),
        ((grpc.StatusCode.INTERNAL, "it broke"), 503, "backend-error"),
    ],
)
def test_what_triton_says_no_to(
    failure: tuple[grpc.StatusCode, str], status: int, problem: str, traced: Start
) -> None:
    run = traced()
    run.service.triton.failure = failure
    run.service.post("/v1/classify", {"input": "good"})
    server, client = run.named("POST /v1/classify"), run.named(METHOD)
    assert server.attributes["http.response.status_code"] == status
    assert server.attributes["error.type"] == problem
    assert server.attributes.get("sub50.refused") == ("queue" if status == 429 else None)
    # A refusal is no error of the server's.
    wanted = StatusCode.ERROR if status >= 500 else StatusCode.UNSET
    assert server.status.status_code is wanted
    assert client.status.status_code is StatusCode.ERROR
    assert client.attributes["rpc.response.status_code"] == failure[0].name


def test_errors_of_the_client_and_of_ours(traced: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    run = traced()
    run.service.post("/v1/classify", {"input": ""})
    invalid = run.named("POST /v1/classify")
    assert invalid.status.status_code is StatusCode.UNSET
    assert invalid.attributes["error.type"] == "invalid-fields"
    monkeypatch.setattr("service.pipeline.classifications", lambda *_: 1 / 0)
    assert run.service.post("/predict", {"inputs": "good"}).status_code == 500
    fault = run.named("POST /predict")
    assert fault.status.status_code is StatusCode.ERROR
    assert fault.attributes["error.type"] == "500"


def test_no_span_holds_a_text(traced: Start) -> None:
    run = traced()
    secret = "zyzzyva quixotry"
    for body in ({"input": secret}, {"input": [5, secret]}, {"input": secret, "model": secret}):
        run.service.post("/v1/classify", body)
    run.service.post(f"/hf/{secret}", {"inputs": secret})
    run.service.triton.failure = (grpc.StatusCode.INTERNAL, secret)
    run.service.post("/v1/classify", {"input": secret})
    assert len(run.spans) > 6
    for span in run.spans:
        assert "zyzzyva" not in span.to_json()


def test_nothing_of_opentelemetry_is_imported_where_tracing_is_off() -> None:
    code = (
        "import sys; from service.run import run_api; from service.tracing_start import tracing\n"
        "with tracing() as traced: assert traced is None\n"
        "assert 'opentelemetry.sdk' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={})

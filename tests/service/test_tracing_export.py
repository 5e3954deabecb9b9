"""Spans on their way to a collector that is there, or is not; and exemplars that lead to them."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is missing")

from service.errors import ServeError
from service.tracing import Seldom
from service.tracing_start import tracing, tracing_wanted
from tests.collector import Collector, collecting
from tests.deploy.running import free_port, running, wait_for
from tests.service.conftest import Service, StartService

OPENMETRICS = {
    "Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
}
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as receiver:
        yield receiver


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")


def test_spans_arrive_at_a_collector(
    collector: Collector, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "reviews")
    with tracing() as traced:
        service = start_service(tracing=traced)
        assert service.post("/v1/classify", {"input": "good"}).status_code == 200
    assert sorted(span.name for span in collector.spans) == [
        "POST /v1/classify",
        "admit",
        "infer",
        "inference.GRPCInferenceService/ModelInfer",
        "postprocess",
        "tokenize",
    ]
    assert len({span.trace_id for span in collector.spans}) == 1
    [resource] = {
        (item.key, item.value.string_value)
        for item in collector.received[0].resource_spans[0].resource.attributes
        if item.key == "service.name"
    }
    assert resource == ("service.name", "reviews")


def test_the_standard_sampler_counts(
    collector: Collector, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, collector.url)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    asked = f"00-{'ab' * 16}-{'cd' * 8}-01"
    with tracing() as traced:
        service = start_service(tracing=traced)
        service.post("/v1/classify", {"input": "good"})
        service.post("/v1/classify", {"input": "good"}, headers={"traceparent": asked})
    assert {span.trace_id.hex() for span in collector.spans} == {"ab" * 16}


def test_a_collector_that_is_away_slows_nobody_and_is_told_of_once(
    start_service: StartService,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv(ENDPOINT, f"http://{nobody}")

    def told() -> list[str]:
        lines = [(record.name, record.getMessage()) for record in caplog.records]
        return [line for name, line in lines if name.startswith("opentelemetry")]

    with caplog.at_level(logging.INFO):
        with tracing() as traced:
            service = start_service(tracing=traced)
            begun, answered = time.monotonic(), 0
            while time.monotonic() - begun < 4 or not told():
                assert time.monotonic() - begun < 30
                assert service.post("/v1/classify", {"input": "good"}).status_code == 200
                answered += 1
                time.sleep(0.05)  # fewer spans than the exporter keeps, which says so beyond that
            begun = time.monotonic()
        assert time.monotonic() - begun < 6
    # Each would have taken a second, had it waited for the exporter.
    assert answered > 10
    [line] = told()
    assert f"OTEL_EXPORTER_OTLP_ENDPOINT there (http://{nobody})" in line


def test_an_error_is_told_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("service.tracing.time.monotonic", lambda: now)
    seldom = Seldom()
    record = logging.LogRecord("x", logging.ERROR, "", 0, "away", (), None)
    assert seldom.filter(record)
    now = 59.0
    assert not seldom.filter(record)
    now = 61.0
    assert seldom.filter(record)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({ENDPOINT: "http://collector:4318"}, True),
        ({ENDPOINT: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINT: "http://collector:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({ENDPOINT: ""}, False),
    ],
)
def test_tracing_is_on_where_the_environment_names_an_exporter(
    environment: dict[str, str], wanted: bool
) -> None:
    assert tracing_wanted(environment) is wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        (ENDPOINT, "collector:4317"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ],
)
def test_a_value_that_cannot_be_heeded_ends_the_start(name: str, value: str) -> None:
    environment = {ENDPOINT: "http://collector:4318", "OTEL_TRACES_SAMPLER": "traceidratio"}
    with pytest.raises(ServeError, match=f"^{name}: '{re.escape(value)}'"):
        tracing_wanted(environment | {name: value})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.tracing_start._installed", lambda: False)
    with pytest.raises(ServeError, match=r"pip install 'sub50\[otel\]'"):
        tracing_wanted({"OTEL_TRACES_EXPORTER": "otlp"})


@pytest.fixture
def traced_service(
    collector: Collector, start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    monkeypatch.setenv(ENDPOINT, collector.url)
    with tracing() as traced:
        yield start_service(tracing=traced)


def test_a_duration_leads_to_its_trace(collector: Collector, traced_service: Service) -> None:
    service = traced_service
    service.post("/v1/classify", {"input": "good"})
    plain = service.client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    assert "trace_id" not in plain.text
    answer = service.client.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    [found] = re.findall(
        r'sub50_request_duration_seconds_bucket\{.*\} \S+ # \{trace_id="(\w+)"\}', answer.text
    )
    wait_for(lambda: collector.spans, 10, lambda: "no spans")
    assert found in {span.trace_id.hex() for span in collector.spans}


def test_untraced_metrics_stay_as_they_were(start_service: StartService) -> None:
    service = start_service()
    service.post("/v1/classify", {"input": "good"})
    answer = service.client.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"].startswith("text/plain")


def test_prometheus_keeps_the_exemplar(traced_service: Service, tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    if prometheus is None:
        assert "REQUIRE_PROMETHEUS" not in os.environ
        pytest.skip("Prometheus is not installed (Debian: apt-get install prometheus)")
    traced_service.post("/v1/classify", {"input": "good"})
    target = traced_service.url.removeprefix("http://")
    config = tmp_path / "prometheus.yml"
    scrape = {"job_name": "sub50", "static_configs": [{"targets": [target]}]}
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
    port = free_port()
    command = [
        prometheus,
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        "--enable-feature=exemplar-storage",
    ]

    def asked(query: str) -> list[dict[str, object]]:
        found = traced_service.client.get(f"http://127.0.0.1:{port}/api/v1/{query}").json()
        return list(found["data"] if isinstance(found["data"], list) else found["data"]["result"])

    window = f"start={time.time() - 60}&end={time.time() + 60}"
    name = "sub50_request_duration_seconds"
    with running(command, f"http://127.0.0.1:{port}/-/ready", tmp_path):
        exemplars = f"query_exemplars?query={name}_bucket&{window}"
        [series] = wait_for(lambda: asked(exemplars), 30, lambda: "no exemplar")
        # And what the rules count is called as it was.
        counted = asked(f"query?query={name}_bucket")
        up = asked("query?query=sub50_engine_info")
    labels = series["exemplars"][0]["labels"]
    assert re.fullmatch("[0-9a-f]{32}", labels["trace_id"])
    assert {item["metric"]["le"] for item in counted} >= {"0.05", "0.001", "1.0", "+Inf"}
    assert len(up) == 4

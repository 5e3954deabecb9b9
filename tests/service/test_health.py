"""Liveness, readiness by a real inference, metrics, documentation."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urljoin, urlsplit

import grpc
import httpx2
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from service.api import health
from service.drain import Drain
from service.metrics import REQUEST_EDGES_SECONDS, Metrics
from service.readiness import ReadinessProbe
from tests.service.conftest import Service, StartService

README = Path(__file__).parent.parent.parent / "README.md"


def test_ready_only_while_every_model_answers(start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    assert service.client.get("/readyz").json()["ready"] is True
    service.triton.failure = (grpc.StatusCode.INTERNAL, "Stub process 'x' is not healthy")
    response = None
    for _ in range(50):
        response = service.client.get("/readyz")
        if response.status_code == 503:
            break
        time.sleep(0.05)
    assert response is not None
    assert response.status_code == 503
    assert set(response.json()["models"]) == {"sentiment", "topics", "general", "contracts"}
    assert "ok" not in response.json()["models"].values()
    assert service.client.get("/livez").status_code == 200


def test_readiness_asks_triton_seldom(start_service: StartService) -> None:
    service = start_service(readiness_seconds=60)
    for _ in range(10):
        service.client.get("/readyz")
    assert len(service.triton.requests) == 4


def values(service: Service) -> dict[str, float]:
    """What the last reading of the metrics had asked."""
    lines = service.client.get("/metrics").text.splitlines()
    named = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: float(value) for name, _, value in named}


def test_reading_the_metrics_asks_triton_and_every_model(start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    assert math.isnan(values(service)["sub50_triton_up"])
    ready = 'sub50_engine_ready{model="topics"}'
    until(lambda: values(service)["sub50_triton_up"] == 1 == values(service)[ready])
    service.triton.failure = (grpc.StatusCode.NOT_FOUND, "no such model")
    until(lambda: values(service)[ready] == 0)
    assert values(service)["sub50_triton_up"] == 1
    service.triton.live = False
    until(lambda: values(service)["sub50_triton_up"] == 0)
    service.triton.live, service.triton.failure = True, None
    until(lambda: values(service)["sub50_triton_up"] == 1 == values(service)[ready])


def test_a_triton_that_hangs_does_not_hold_up_the_metrics(start_service: StartService) -> None:
    service = start_service(readiness_seconds=0.05)
    service.triton.delay_seconds = 5.0
    begun = time.monotonic()
    for _ in range(5):
        values(service)
    assert time.monotonic() - begun < 3  # each probe would take a second
    ready = 'sub50_engine_ready{model="topics"}'
    until(lambda: values(service).get(ready) == 0)


class TakesLong(Collector):
    """Metrics that keep whoever reads them for 0.2 s."""

    def collect(self) -> Iterator[Metric]:
        if self.asked:
            time.sleep(0.2)
        self.asked = True  # the registry asks once for the names alone
        yield Metric("slow", "Takes long to read.", "gauge")

    asked = False


class Unasked:
    """Stands where the probe does, and is not needed."""

    def refresh(self) -> None:
        """Do nothing."""


def test_requests_go_on_while_metrics_are_written() -> None:
    registry = CollectorRegistry()
    registry.register(TakesLong())
    app = FastAPI()
    app.include_router(
        health.router(cast("ReadinessProbe", Unasked()), registry, exemplars=False, drain=Drain())
    )
    ended: list[str] = []

    async def ask(client: httpx2.AsyncClient, path: str) -> None:
        assert (await client.get(path)).status_code == 200
        ended.append(path)

    async def ask_both() -> None:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://a") as client:
            await asyncio.gather(ask(client, "/metrics"), ask(client, "/livez"))

    asyncio.run(ask_both())
    assert ended == ["/livez", "/metrics"]


def test_the_readme_names_every_metric() -> None:
    text = README.read_text(encoding="utf-8")
    metrics = Metrics(CollectorRegistry())
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in metrics.registry.collect()
    }
    assert len(names) > 15
    assert {name for name in names if not re.search(rf"`{name}[{{`]", text)} == set()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.05)


def test_requests_are_counted_by_route_model_class_and_status(start_service: StartService) -> None:
    service = start_service()
    service.post("/v1/classify", {"input": "good"})
    service.post("/v1/classify", {"input": ["the bad film"] * 128})
    service.post("/v1/classify", {"input": "good", "model": "secret\n" * 10})
    service.post("/v1/classify", {"input": ""})
    text = service.client.get("/metrics").text
    counted = re.findall(r"sub50_request_duration_seconds_count\{(.*?)\} (\S+)", text)
    assert {(labels, float(value)) for labels, value in counted} == {
        ('class="interactive",model="sentiment",route="/v1/classify",status="200"', 1.0),
        ('class="bulk",model="sentiment",route="/v1/classify",status="200"', 1.0),
        ('class="interactive",model="none",route="/v1/classify",status="404"', 1.0),
        ('class="interactive",model="sentiment",route="/v1/classify",status="422"', 1.0),
    }
    assert "secret" not in text
    assert 'sub50_engine_info{backend="onnxruntime",model="sentiment"' in text
    assert "sub50_tokens_total" in text
    assert "sub50_inflight 0.0" in text


def test_the_promise_is_an_edge_of_the_histogram() -> None:
    assert 0.05 in REQUEST_EDGES_SECONDS
    assert list(REQUEST_EDGES_SECONDS) == sorted(REQUEST_EDGES_SECONDS)


def test_the_documentation_asks_no_other_host(service: Service) -> None:
    page = service.client.get("/docs")
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert not urlsplit(link).netloc, link
        assert service.client.get(urljoin("/docs", link)).status_code == 200
    paths = service.client.get("/openapi.json").json()["paths"]
    assert {"/v1/classify", "/v1/summarize", "/predict", "/hf/{model}", "/readyz"} <= set(paths)
    body = paths["/v1/classify"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"input", "model", "top_k", "truncate", "raw_scores"}

"""/livez, /readyz and /metrics: for orchestrators and dashboards.

The first two never ask for a key; what /readyz tells beside yes and no may.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, choose_encoder, generate_latest

from service.drain import STOPPING, Drain
from service.readiness import ReadinessProbe
from service.schemas import ReadinessBody

OPENMETRICS_TYPE = "application/openmetrics-text"


def router(
    probe: ReadinessProbe,
    registry: CollectorRegistry,
    exemplars: bool,
    drain: Drain,
    tells_models: Callable[[Request], bool] = lambda _: True,
) -> APIRouter:
    """Routes over one probe and one registry.

    `exemplars`: the metrics have some, so scrapers that ask for OpenMetrics, which can tell of
    them, get it. While `drain` goes on, nothing is ready. `tells_models`: whether a request may
    learn which model is not ready, and why.
    """
    routes = APIRouter(tags=["health"])
    one_reader_at_a_time = asyncio.Lock()

    @routes.get("/livez", summary="The process answers", response_class=PlainTextResponse)
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @routes.get(
        "/readyz",
        summary="Every model answers a real inference",
        response_model=ReadinessBody,
        responses={503: {"model": ReadinessBody, "description": "One of them does not"}},
    )
    async def readyz(request: Request) -> JSONResponse:
        readiness = probe.at_fault(STOPPING) if drain.begun else await probe.check()
        told = readiness.models if tells_models(request) else ()
        body = {
            "ready": readiness.ready,
            "models": {name: readiness.faults.get(name, "ok") for name in told},
        }
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    open_metrics = {OPENMETRICS_TYPE: {"schema": {"type": "string"}}}

    @routes.get(
        "/metrics",
        summary="Prometheus metrics",
        response_class=PlainTextResponse,
        responses={200: {"content": open_metrics}} if exemplars else {},
    )
    async def metrics(request: Request) -> Response:
        probe.refresh()
        encode: Callable[[CollectorRegistry], bytes] = generate_latest
        media_type = CONTENT_TYPE_LATEST
        if exemplars:
            encode, media_type = choose_encoder(request.headers.get("accept", ""))
        # Writing a hundred histograms takes tens of milliseconds, too long for the event loop.
        async with one_reader_at_a_time:
            return Response(await asyncio.to_thread(encode, registry), media_type=media_type)

    return routes

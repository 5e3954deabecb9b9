"""/livez, /readyz and /metrics: for orchestrators and dashboards, never behind a key."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, choose_encoder, generate_latest

from service.readiness import ReadinessProbe


def router(probe: ReadinessProbe, registry: CollectorRegistry, exemplars: bool) -> APIRouter:
    """Routes over one probe and one registry.

    `exemplars`: the metrics have some, so scrapers that ask for OpenMetrics, which can tell of
    them, get it.
    """
    routes = APIRouter(tags=["health"])

    @routes.get("/livez", summary="The process answers", response_class=PlainTextResponse)
    async def livez() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @routes.get("/readyz", summary="Every model answers a real inference")
    async def readyz() -> JSONResponse:
        readiness = await probe.check()
        body = {
            "ready": readiness.ready,
            "models": {name: readiness.faults.get(name, "ok") for name in readiness.models},
        }
        return JSONResponse(body, status_code=200 if readiness.ready else 503)

    @routes.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        probe.refresh()
        if not exemplars:
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=media_type)

    return routes

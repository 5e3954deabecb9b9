"""/livez, /readyz and /metrics: for orchestrators and dashboards, never behind a key."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from service.readiness import ReadinessProbe


def router(probe: ReadinessProbe, registry: CollectorRegistry) -> APIRouter:
    """Routes over one probe and one registry."""
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
    async def metrics() -> Response:
        probe.refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes

"""create_app: wiring and lifespan, nothing else."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from importlib.metadata import version

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from starlette.exceptions import HTTPException

from service.api import board, compat, docs, health, manage, v1
from service.api.access import Access
from service.api.closed_pages import close
from service.api.cross_origin import open_to
from service.api.direct import DirectPaths
from service.api.document import describe
from service.api.exchange import Exchange
from service.api.loop_lag import LoopLag
from service.api.plain_problem import plain_problem
from service.api.safe_headers import SafeHeaders
from service.api.turns import Turns
from service.attend import attended, pulse_of
from service.board.live import LiveBoard
from service.connections import Connections
from service.drain import CloseConnections, Drain
from service.errors import ServeError
from service.hosted import HostedTriton, promotions
from service.keeper import Revivable
from service.logs import where_it_broke
from service.metrics import Metrics
from service.models import ModelCatalog
from service.pipeline import Pipeline
from service.problems import UNEXPECTED
from service.readiness import ReadinessProbe
from service.settings import Settings
from service.trace import Tracing
from service.triton.arrival import arrival
from service.triton.client import TritonClient

log = logging.getLogger("sub50.app")
# How long another thread of ours may keep the event loop waiting whenever it wants to go on. With
# Python's 5 ms, requests that met a reading of /metrics took 44 ms longer in P99; with this, 6.
SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Surroundings:
    """What the process around an application lends it.

    Attributes:
        instances: calls of each model that Triton runs side by side, where that is known.
        stand_ins: models that ask for a GPU and are served by their engines for processors.
        hosted: the ways to promote, where Triton is ours.
        kept: Triton, where it is brought back when it ends.
        give_up: told where a Triton that runs elsewhere has not come in time; without it nobody
            waits for one.
        tracing: begins a trace for each request.
        connections: the server's, which the metrics show.
        drain: tells when the service is being stopped.
    """

    instances: Mapping[str, int] = field(default_factory=dict)
    stand_ins: Collection[str] = ()
    hosted: HostedTriton | None = None
    kept: Revivable | None = None
    give_up: Callable[[ServeError], None] | None = None
    tracing: Tracing | None = None
    connections: Connections | None = None
    drain: Drain = field(default_factory=Drain)


def create_app(
    settings: Settings, triton_target: str, around: Surroundings | None = None
) -> FastAPI:
    """The HTTP application over the models on disk and a Triton at `triton_target`.

    Raises:
        ServeError: the repository has no models, one lacks its engine, or keys cannot be used.
    """
    around = around or Surroundings()
    models = ModelCatalog.load(settings.repository, around.stand_ins)
    metrics = _metrics(models, around.connections)
    access = Access(settings, metrics)
    client = TritonClient(triton_target)
    pulse = pulse_of(client, around.kept)
    pipeline = Pipeline(models, pulse, metrics, settings, around.instances)
    lag = LoopLag()
    refuse_early = pulse.before(pipeline.refuse_early)
    exchange = Exchange(settings, metrics, access, refuse_early, lag, around.tracing)
    probe = ReadinessProbe(models.all, pulse, metrics, settings.readiness_seconds)
    live_board = LiveBoard(settings, models.all, probe, metrics)
    management = manage.Management(settings, pipeline, access)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # A full collection over what start-up made takes as long as the whole promise (46 ms
        # measured); frozen, these objects are never walked again.
        gc.collect()
        gc.freeze()
        switch_seconds = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        lag.start()
        async with (
            live_board.running(),
            access.following(),
            expected(client, models, settings, around.give_up),
            attended(pulse, pipeline, metrics, TritonClient, around.kept, around.instances),
            promotions(around.hosted, settings, pipeline, metrics, pulse) as management.promoter,
        ):
            yield
        lag.stop()
        sys.setswitchinterval(switch_seconds)
        gc.unfreeze()
        await pulse.close()

    app = _empty_app(lifespan)
    routers = [v1.router(pipeline, exchange), compat.router(pipeline, exchange)]
    routers += [board.router(live_board), docs.router(app.title, lambda: app.openapi())]
    for router in routers:
        app.include_router(router)
    app.add_middleware(DirectPaths, routers=routers)
    if around.hosted is not None and access.can_manage:
        app.include_router(manage.router(management))
    close(app, settings.closed_pages, access)
    open_to(app, settings.cors_origins)
    app.add_middleware(Turns, settings=settings)
    app.add_middleware(SafeHeaders)
    _show_health(app, probe, metrics, access, around)
    describe(app, asks_for_keys=settings.asks_for_keys)
    return app


def _empty_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> FastAPI:
    """An application with nothing but its documentation, and problems for what goes wrong."""
    app = FastAPI(
        title="sub50",
        version=version("sub50"),
        description="Text classification and summarization with P99 under 50 ms.",
        lifespan=lifespan,
        # docs.py has both, without scripts of other hosts.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send clients to whatever host they named
        # It would look for an OpenTelemetry set-up at every request; metrics.py is what counts.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    docs.show_files(app)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(Exception, _unexpected_problem)
    return app


def _show_health(
    app: FastAPI,
    probe: ReadinessProbe,
    metrics: Metrics,
    access: Access,
    around: Surroundings,
) -> None:
    """The routes of health, and what else shows that the service is being stopped."""
    drain, exemplars = around.drain, around.tracing is not None
    metrics.draining.set_function(lambda: drain.begun)
    # The outermost of ours: every answer goes through it.
    app.add_middleware(CloseConnections, drain=drain)
    tells_models = access.tells_models
    app.include_router(health.router(probe, metrics.registry, exemplars, drain, tells_models))


@asynccontextmanager
async def expected(
    client: TritonClient,
    models: ModelCatalog,
    settings: Settings,
    give_up: Callable[[ServeError], None] | None,
) -> AsyncIterator[None]:
    """Wait for Triton beside the block; `give_up` is told where it does not come."""
    if give_up is None:
        yield
        return

    async def wait() -> None:
        wanted = [(model.name, model.version) for model in models.all()]
        try:
            await arrival(client, wanted, settings.triton_start_seconds)
        except ServeError as error:
            give_up(error)

    waiting = asyncio.create_task(wait())
    try:
        yield
    finally:
        waiting.cancel()


def _metrics(models: ModelCatalog, connections: Connections | None) -> Metrics:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    for model in models.all():
        metrics.serve_engine(model.engine_info)
        metrics.engine_stands_in.labels(model.name).set(model.stands_in)
    if connections is not None:
        metrics.connections.set_function(lambda: connections.open)
        connections.on_cut = lambda reason: metrics.connections_cut.labels(reason).inc()
    return metrics


async def _http_problem(request: Request, error: Exception) -> Response:
    """404 for an unknown path, 405 for a wrong method: the framework's own errors."""
    assert isinstance(error, HTTPException)
    response = plain_problem(request, error.status_code, "http", error.detail)
    response.headers.update(error.headers or {})
    return response


async def _unexpected_problem(request: Request, error: Exception) -> Response:
    """A fault of ours: the client learns that it happened, the log learns where."""
    route = request.scope.get("route")
    # A route as it was declared: a path may hold anything.
    path = getattr(route, "path", "a page or a route that runs models")
    log.error("unexpected error on %s: %s", path, where_it_broke(error))
    return plain_problem(request, UNEXPECTED.status, UNEXPECTED.slug, UNEXPECTED.title)

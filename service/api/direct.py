"""The short way to routes that run models, and to pages: no layer before the endpoint.

FastAPI solves dependencies and reads bodies before an endpoint runs, and its router tries one route
after the other. These routes need neither. They stay FastAPI's own routes, in its documentation and
its OpenAPI document; what it saves is in BENCHMARKS.md, the profile.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[..., Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """Calls `endpoint(request, **path_parameters)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself, given what the path holds."""
        endpoint: Endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            return await endpoint(request, **request.path_params)

        return handle


class DirectPaths:
    """Middleware that hands requests for the `routers`' direct routes to their endpoints.

    Routes with parameters in their path, other methods and unknown paths go on to the router.
    """

    def __init__(self, app: ASGIApp, routers: list[APIRouter]) -> None:
        self._app = app
        self._endpoints: dict[tuple[str, str], Endpoint] = {
            (method, route.path): route.endpoint
            for router in routers
            for route in router.routes
            if isinstance(route, DirectRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        key = (scope.get("method", ""), scope.get("path", ""))
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

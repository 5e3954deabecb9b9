"""A route whose endpoint takes the request and returns the response, with nothing between.

FastAPI solves dependencies and reads bodies before an endpoint runs. The routes that run models
have neither, and a sixth of their time in this process went there (BENCHMARKS.md, the profile).
They stay FastAPI's own routes, in its documentation and its OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

Endpoint = Callable[..., Coroutine[Any, Any, Response]]


class DirectRoute(APIRoute):
    """Calls `endpoint(request, **path_parameters)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself, given what the path holds."""
        endpoint: Endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            return await endpoint(request, **request.path_params)

        return handle

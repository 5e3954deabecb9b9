"""Pages that ask for a management key, or, where no key manages, are not there."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access import Access
from service.api.exchange import problem_response, request_id_of
from service.api.plain_problem import plain_problem
from service.errors import Unauthorized

# What belongs to each page.
PATHS = {
    "board": ("/", "/v1/board", "/board/*"),
    "docs": ("/docs", "/openapi.json", "/static-offline-docs/*"),
    "metrics": ("/metrics",),
}
# Browsers ask people for a password then. A line of its own: Chromium reads one challenge a line.
BASIC = 'Basic realm="sub50: a management key as the password", charset="UTF-8"'


def close(app: FastAPI, pages: Collection[str], access: Access) -> None:
    """Close these pages; where all are open nothing stands in the way of a request."""
    if paths_of(pages):
        app.add_middleware(ClosedPages, paths=paths_of(pages), access=access)


def paths_of(pages: Collection[str]) -> list[str]:
    """All that belongs to these pages."""
    return [path for page in pages for path in PATHS.get(page, ())]


class ClosedPages:
    """Middleware that lets who manages, and nobody else, open what lies at these paths."""

    def __init__(self, app: ASGIApp, paths: Collection[str], access: Access) -> None:
        self._app = app
        self._access = access
        self._exact = frozenset(path for path in paths if not path.endswith("/*"))
        self._below = tuple(path[:-1] for path in paths if path.endswith("/*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        path = scope.get("path", "")
        if path in self._exact or path.startswith(self._below):
            refusal = self._refusal(Request(scope))
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if not self._access.can_manage:
            return plain_problem(request, 404, "http", "Not Found")
        try:
            self._access.authorize_manager(request, in_browser=True)
        except Unauthorized as error:
            response = problem_response(error, request_id_of(request))
            response.headers.append("WWW-Authenticate", BASIC)
            return response
        return None

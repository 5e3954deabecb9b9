"""/docs, with a policy that lets it run its own scripts and nothing else; and what it shows."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from service.api.direct import DirectRoute
from service.api.document import Document

DOCUMENT = "openapi.json"
STATIC = "static-offline-docs"


def show_files(app: FastAPI) -> None:
    """Serve the files of the page: they come in a package, and none from another host."""
    app.mount(f"/{STATIC}", StaticFiles(packages=[("fastapi_offline", "static")]), name=STATIC)


def router(title: str, document: Callable[[], Document]) -> APIRouter:
    """The page, and the `document`, which is asked for once."""
    routes = APIRouter(route_class=DirectRoute)
    content = functools.cache(lambda: encoded(document()))
    # Relative addresses, so that it works under whatever path a proxy puts it.
    page = get_swagger_ui_html(
        openapi_url=DOCUMENT,
        title=title,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
    ).body
    headers = {"Content-Security-Policy": policy_of(bytes(page)), "Cache-Control": "no-cache"}

    @routes.get("/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    @routes.get(f"/{DOCUMENT}", include_in_schema=False)
    async def openapi(_: Request) -> Response:
        return Response(content(), media_type="application/json")

    return routes


def encoded(document: Document) -> bytes:
    """The document as JSON; to make that takes longer than all else about an answer."""
    return bytes(JSONResponse(document).body)


def policy_of(page: bytes) -> str:
    """The policy of a page with one script inside it, which is named by its hash."""
    script = page.split(b"<script>")[1].split(b"</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

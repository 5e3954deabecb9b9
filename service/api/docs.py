"""/docs, with a policy that lets the page run its own scripts and nothing else."""

from __future__ import annotations

import base64
import hashlib

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

STATIC = "static-offline-docs"


def router(title: str) -> APIRouter:
    """The page; its files are those that FastAPIOffline serves."""
    routes = APIRouter()
    # Relative addresses, so that it works under whatever path a proxy puts it.
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=title,
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
    ).body
    headers = {"Content-Security-Policy": policy_of(bytes(page)), "Cache-Control": "no-cache"}

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page, headers=headers)

    return routes


def policy_of(page: bytes) -> str:
    """The policy of a page with one script inside it, which is named by its hash."""
    script = page.split(b"<script>")[1].split(b"</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    return (
        f"default-src 'none'; script-src 'self' 'sha256-{digest}'; style-src 'self'; "
        "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )

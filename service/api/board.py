"""The live board at / and the numbers that it shows: for people.

What GET /v1/board tells is in /metrics and /readyz too, but for what each model does; like them it
asks for no key where it is not closed. A text that is tried goes through the routes that ask, with
the key typed there.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from service.api.direct import DirectRoute
from service.board.live import LiveBoard
from service.board.schema import Board

PAGE = Path(__file__).parent.parent / "board" / "page"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The page fetches from this service alone, runs no script but its own, and stands in no frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}


def router(board: LiveBoard) -> APIRouter:
    """The page, its files, and its numbers."""
    routes = APIRouter(tags=["board"], route_class=DirectRoute)
    page = (PAGE / "index.html").read_bytes()

    @routes.get("/", include_in_schema=False)
    async def show_page(_: Request) -> Response:
        return HTMLResponse(page, headers=HEADERS)

    for file in sorted(PAGE.iterdir()):
        if file.suffix in MEDIA_TYPES:
            _add_file(routes, file)

    @routes.get("/v1/board", summary="The numbers of the last minutes", response_model=Board)
    async def show_numbers(_: Request) -> Response:
        return Response(board.json(), media_type="application/json")

    return routes


def _add_file(routes: APIRouter, file: Path) -> None:
    content, media_type = file.read_bytes(), MEDIA_TYPES[file.suffix]

    @routes.get(f"/board/{file.name}", include_in_schema=False)
    async def show_file(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=media_type)

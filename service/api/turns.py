"""Requests that run no model wait for their turn, so that a flood of them delays nobody else's.

The event loop that answers them carries every request for a model through its stages, too. However
little each takes, who asks over a hundred connections at once keeps it busy without a break. Nobody
is refused: a connection that waits for its answer sends nothing meanwhile.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.closed_pages import PATHS
from service.api.docs import STATIC
from service.connections import counted_as
from service.lane import Lane
from service.settings import Settings

# Of pages with all that belongs to them, so that one is shown at once.
AT_ONCE = 20
# These take far longer than the others: a megabyte to send, or a thousand series to write.
DEAR = (f"/{STATIC}/", *PATHS["metrics"])
DEAR_SHARE = 0.02


class Turns:
    """Middleware that lets `settings.pages_per_second` requests begin, but for those to models."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        most, per_second = settings.max_connections, settings.pages_per_second
        self._lane = Lane(per_second, AT_ONCE, most)
        self._dear_lane = Lane(DEAR_SHARE * per_second, AT_ONCE, most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, if need be later."""
        # Models are asked by POST alone, and what they may take is up to the promise.
        if scope["type"] == "http" and scope["method"] != "POST":
            client = scope.get("client")
            dear = scope["path"].startswith(DEAR)
            lane = self._dear_lane if dear else self._lane
            await lane.turn(counted_as(client[0]) if client else "")
        await self._app(scope, receive, send)

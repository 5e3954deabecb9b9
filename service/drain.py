"""Whether the service is being stopped: then /readyz says no, and connections are given up.

Between the signal and the moment when the listener closes, whoever sends requests here has time to
notice. Requests that come meanwhile are answered as ever; each answer tells its client to connect
anew for the next one, so that pools of connections move to other instances without a reset.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STOPPING = "the service is being stopped"
# Where a request's scope has the drain of the service that it came to.
SCOPE_KEY = "sub50.drain"


class Drain:
    """Shared by the server, which begins it, and the routes, which show it."""

    def __init__(self) -> None:
        self.begun = False


def is_stopping(scope: Scope) -> bool:
    """Whether the service that a request came to is being stopped."""
    drain: Drain | None = scope.get(SCOPE_KEY)
    return drain is not None and drain.begun


class CloseConnections:
    """Middleware: answers given during a drain carry `Connection: close`."""

    def __init__(self, app: ASGIApp, drain: Drain) -> None:
        self._app = app
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer back."""
        drain = self._drain
        scope[SCOPE_KEY] = drain

        async def closing(message: Message) -> None:
            # Asked when the answer begins: the signal may have come while it was made.
            if drain.begun and message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, closing)

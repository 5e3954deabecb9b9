"""Headers that tell browsers to make nothing of an answer but what it is, and to keep none."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# A page that is to show or run something has a policy of its own.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
# An answer with one of these says itself how long it is good for.
CACHED_BY = frozenset({b"cache-control", b"etag"})
OWN = CACHED_BY.union(name for name, _ in ENCODED)


class SafeHeaders:
    """Middleware that adds `HEADERS`, each where the answer has none of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add(message["headers"])
            await send(message)

        await self._app(scope, receive, send_safely)


def _add(headers: list[tuple[bytes, bytes]]) -> None:
    given = [name for name, _ in headers if name in OWN]
    if not given:  # as with all answers of models
        headers += ENCODED
        return
    if not CACHED_BY.isdisjoint(given):
        given.append(b"cache-control")
    headers += [pair for pair in ENCODED if pair[0] not in given]

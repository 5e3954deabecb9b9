"""The body of a request: read within its limits, and of a shape that costs little to parse."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from fastapi import Request

from service.errors import ClientGone, NotJson, Refused, SlowRequest, TooLarge

# Set in the state of a request's scope by the server: its body comes too slowly.
TOO_SLOW = "sub50_too_slow"
# So much of a body that is too large is read and dropped before the answer. A connection that is
# closed with unread data is reset, and the client may lose the answer.
DROPPED_BYTES = 16 * 2**20
DROPPED_SECONDS = 1.0
# Of less than this no shape costs much.
SHAPED_BYTES = 4096
# JSON values for each text that may be sent, and for the fields beside them. A request that is
# right has two at most; the others leave room to say what is wrong with one that is not.
VALUES_PER_INPUT = 8
VALUES_BESIDE = 64


def announced_bytes(request: Request) -> int | None:
    """The body's size as its header has it; None for a chunked body."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else None


class ReceivedBytes:
    """Bytes held of all bodies that are still coming; a body that comes at once never counts."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes = 0

    def hold(self, count: int) -> None:
        """Count bytes in.

        Raises:
            Refused: there are too many, and these are not counted.
        """
        if self._held_bytes + count > self._limit_bytes:
            raise Refused(
                "too much is being received from all clients; try again later",
                reason="received_bytes",
            )
        self._held_bytes += count

    def release(self, count: int) -> None:
        """Count bytes out."""
        self._held_bytes -= count


async def read_body(request: Request, limit_bytes: int, received: ReceivedBytes) -> bytes:
    """The whole body, chunked or not.

    Raises:
        TooLarge: it is over `limit_bytes`; nothing beyond the limit is kept.
        SlowRequest: it did not come in time.
        Refused: too much of all bodies is held.
        ClientGone: the client closed the connection before all of it had come.
    """
    if (announced_bytes(request) or 0) <= limit_bytes:
        body, held_bytes, more = bytearray(), 0, True
        try:
            while more and len(body) <= limit_bytes:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone("the client closed the connection")
                part = message.get("body", b"")
                body += part
                more = message.get("more_body", False)
                if more:
                    _require_in_time(request)
                    received.hold(len(part))
                    held_bytes += len(part)
        finally:
            received.release(held_bytes)
        if len(body) <= limit_bytes:
            return bytes(body)
    await _drop_rest(request)
    raise TooLarge("body", f"over the limit of {limit_bytes} bytes")


def _require_in_time(request: Request) -> None:
    if request.scope.get("state", {}).get(TOO_SLOW):
        raise SlowRequest("its body did not come in time; send it faster, or in smaller requests")


async def _drop_rest(request: Request) -> None:
    """Read what still comes of a body, within bounds, and forget it."""
    if request.headers.get("expect", "").lower() == "100-continue":
        return  # the client waits for leave to send it
    left_bytes, more = DROPPED_BYTES, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DROPPED_SECONDS):
            while more and left_bytes > 0:
                message = await request.receive()
                left_bytes -= len(message.get("body", b""))
                more = message.get("more_body", False)


def require_json(request: Request) -> None:
    """Refuse a body that is not said to be JSON.

    What is not said at all counts as not JSON: browsers let any page send such a request to any
    address, and ask for leave before they send one of JSON.

    Raises:
        NotJson: the Content-Type is missing or another one, the charset is not UTF-8, or the body
            is compressed.
    """
    is_json = False
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            is_json = value == b"application/json" or _says_json(value)
            if not is_json:
                break
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            raise NotJson("send the body as it is, without Content-Encoding")
    if not is_json:
        raise NotJson("send the body as JSON in UTF-8, with `Content-Type: application/json`")


def _says_json(value: bytes) -> bool:
    media_type, *parameters = value.lower().split(b";")
    charsets = [
        text.strip(b' "')
        for name, _, text in (parameter.partition(b"=") for parameter in parameters)
        if name.strip() == b"charset"
    ]
    return media_type.strip() == b"application/json" and all(
        charset in (b"utf-8", b"utf8") for charset in charsets
    )


def require_few_values(body: bytes, max_inputs: int) -> None:
    """Refuse a body of far more JSON values than a request with `max_inputs` texts can have.

    The parser makes an object of every value, and of every one that is wrong an error: 8 MB of
    `[1,1,1,…]` took half a minute and 4 GB, in which nobody else was answered. To count them first
    takes milliseconds.

    Raises:
        TooLarge: it has too many.
    """
    if len(body) <= SHAPED_BYTES:
        return
    limit = VALUES_PER_INPUT * max_inputs + VALUES_BESIDE
    if _values_in(body, limit) > limit:
        raise TooLarge(
            "body", f"over {limit} JSON values, where {max_inputs} texts at most are taken"
        )


def _values_in(body: bytes, limit: int) -> int:
    """JSON values, counted by the commas between them; if there are far more strings, `limit` + 1.

    Of what is no JSON it counts something, too, and the parser says what is wrong with it.
    """
    # The quote that opens a string never has a backslash before it.
    if body.count(b'"') - body.count(b'\\"') > 2 * limit:
        return limit + 1
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Now every quote opens or closes a string, so every other piece is outside of one.
    # Nesting without commas needs no count: the parser gives up at a depth of 200.
    return 1 + sum(piece.count(b",") for piece in body.split(b'"')[::2])

"""The limits of a request's head: its first line and its headers."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import HeadersTooLarge
from service.settings import Settings

# Colon, space and the end of the line.
BESIDE_HEADER_BYTES = 4


class HeadLimits:
    """How many headers, and how many bytes of them, one request may have."""

    def __init__(self, settings: Settings) -> None:
        self._bytes = settings.max_header_bytes
        self._headers = settings.max_headers

    def breach(
        self,
        target: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        before_bytes: int,
        now_bytes: int,
    ) -> HeadersTooLarge | None:
        """What is over its limit, if anything.

        `before_bytes` belong to the head; of the `now_bytes` that came last some may be the
        body's. Only where that matters are `target` and `headers` measured.
        """
        if len(headers) > self._headers:
            return HeadersTooLarge(f"over {self._headers} headers; send fewer")
        if before_bytes <= self._bytes:
            if before_bytes + now_bytes <= self._bytes:
                return None
            if size(target, headers) <= self._bytes:
                return None
        return HeadersTooLarge(
            f"the first line and the headers have over {self._bytes} bytes; send less"
        )


def size(target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Bytes of a head, about: without the method and what separates."""
    lengths = (len(name) + len(value) + BESIDE_HEADER_BYTES for name, value in headers)
    return len(target) + sum(lengths)


def has_body(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a body follows a head; names are in small letters."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in headers
    )

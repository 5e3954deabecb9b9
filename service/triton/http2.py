"""The frames and headers of HTTP/2 that unary gRPC calls are made of.

Frames are those of RFC 9113, headers those of RFC 7541, and what they say is gRPC's
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). The other end is told to keep no
table of headers, and we keep none: so equal headers are equal bytes, made once and read once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final

import hpack

DATA: Final = 0x0
HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5

CANCEL: Final = 0x8
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER_BYTES: Final = 9
FRAME_BYTES: Final = 16_384  # the least that may be announced, and what holds unannounced
WINDOW_BYTES: Final = 65_535
MOST_BYTES: Final = 2**31 - 1  # of a window, and the highest number of a stream
# Headers and trailers of answers are few; those of failures carry a message.
KNOWN_BLOCKS = 64
PRIORITY_BYTES = 5

Frame = tuple[int, int, int, bytes]
Headers = Mapping[bytes, bytes]


class ProtocolError(Exception):
    """What came is not HTTP/2 as it was announced. The message says what it was."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame; `payload` has at most as many bytes as the other end takes in one."""
    size = len(payload)
    return struct.pack(">BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings_frame(settings: Mapping[int, int]) -> bytes:
    """Our settings, to be acknowledged."""
    pairs = b"".join(struct.pack(">HI", name, value) for name, value in settings.items())
    return frame(SETTINGS, 0, 0, pairs)


def settings_of(payload: bytes) -> dict[int, int]:
    """The settings of the other end."""
    if len(payload) % 6:
        raise ProtocolError(f"settings of {len(payload)} bytes")
    return dict(struct.iter_unpack(">HI", payload))


def number_of(payload: bytes) -> int:
    """The number at the start of a frame: of a window's bytes, a stream, or an error's code."""
    if len(payload) < 4:
        raise ProtocolError(f"a number of {len(payload)} bytes")
    return int.from_bytes(payload[:4], "big") & MOST_BYTES


def literal(name: bytes, value: bytes) -> bytes:
    """One header as it stands, in no table: RFC 7541, 6.2.2."""
    return b"\x00" + length(name) + name + length(value) + value


def unpadded(flags: int, payload: bytes) -> bytes:
    """The contents of a DATA or HEADERS frame, without padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ProtocolError("more padding than frame")
    return payload[1 : len(payload) - payload[0]]


class FrameReader:
    """Puts frames together from what comes, however it was cut."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self, data: bytes) -> Iterator[Frame]:
        """The frames that are whole by now: kind, flags, stream and payload.

        Raises:
            ProtocolError: one is larger than we said that we take.
        """
        data = self._rest + data if self._rest else data
        start, end = 0, len(data)
        while end - start >= FRAME_HEADER_BYTES:
            high, low, kind, flags, stream = struct.unpack_from(">BHBBI", data, start)
            size = high << 16 | low
            if size > FRAME_BYTES:
                raise ProtocolError(f"a frame of {size} bytes")
            payload_start = start + FRAME_HEADER_BYTES
            if end - payload_start < size:
                break
            start = payload_start + size
            yield kind, flags, stream & MOST_BYTES, data[payload_start:start]
        self._rest = data[start:]


class HeaderReader:
    """Reads headers, and remembers those that come again and again."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._decoder.header_table_size = self._decoder.max_allowed_table_size = 0
        self._known: dict[bytes, Headers] = {}

    def read(self, block: bytes) -> Headers:
        """Values of headers by name. Raises ProtocolError where they cannot be read."""
        found = self._known.get(block)
        if found is None:
            try:
                found = dict(self._decoder.decode(block, raw=True))
            except hpack.HPACKError as error:
                raise ProtocolError(f"headers: {error}") from error
            if len(self._known) < KNOWN_BLOCKS:
                self._known[block] = found
        return found


def length(text: bytes) -> bytes:
    """How long a string is, as a number with a prefix of seven bits: RFC 7541, 5.1."""
    left = len(text) - 127
    if left < 0:
        return bytes([len(text)])
    parts = bytearray([127])
    while left >= 128:
        parts.append(left & 127 | 128)
        left >>= 7
    parts.append(left)
    return bytes(parts)

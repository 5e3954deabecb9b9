"""Calls over a Unix socket to peers that are cut short, or misbehave."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from grpc import StatusCode

from service.triton import http2
from tests.service.triton.unary_calls import ECHO, calls_to, failure_of, run


@asynccontextmanager
async def peer(path: Path, *frames: bytes) -> AsyncIterator[None]:
    """A peer that says that much once it is asked, and nothing else."""
    ended = asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"application/grpc")
        writer.write(b"".join(frames))
        await reader.read()
        writer.close()
        await writer.wait_closed()
        ended.set()

    async with await asyncio.start_unix_server(say, path):
        yield
        await ended.wait()


def status(value: bytes) -> bytes:
    return http2.literal(b"grpc-status", value)


WELL = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, b"\x88")
END = http2.END_HEADERS | http2.END_STREAM
TRAILERS = http2.frame(http2.HEADERS, END, 1, status(b"0"))


def data(content: bytes, flags: int = 0) -> bytes:
    return http2.frame(http2.DATA, flags, 1, content)


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], StatusCode.UNAVAILABLE),
        ([WELL, data(b"\x00\x00\x00\x00\x02no"), TRAILERS], None),
        ([WELL, data(b"\x00\x00\x00\x00"), data(b"\x02no"), TRAILERS], None),
        ([WELL, data(b"\x00\x00\x00\x00\x03no"), TRAILERS], StatusCode.INTERNAL),
        ([WELL, data(b"\x01\x00\x00\x00\x02no"), TRAILERS], StatusCode.INTERNAL),
        ([WELL, TRAILERS], StatusCode.INTERNAL),
        ([WELL, data(b"\x00\x00\x00\x00\x02no", http2.END_STREAM)], StatusCode.UNKNOWN),
        ([http2.frame(http2.HEADERS, END, 1, status(b"99"))], StatusCode.UNKNOWN),
        ([http2.frame(http2.HEADERS, END, 1, status(b"x"))], StatusCode.UNKNOWN),
        ([http2.frame(http2.HEADERS, END, 1, b"\xff\xff\xff\xff\xff\xff")], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.RST_STREAM, 0, 1, struct.pack(">I", 7))], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.RST_STREAM, 0, 1, struct.pack(">I", 2))], StatusCode.INTERNAL),
        ([http2.frame(http2.RST_STREAM, 0, 1, b"")], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.GOAWAY, 0, 0, bytes(8))], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.PUSH_PROMISE, 4, 1, bytes(8))], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.CONTINUATION, 4, 1, b"")], StatusCode.UNAVAILABLE),
        ([http2.frame(http2.HEADERS, 0, 1, b"\x88"), TRAILERS], StatusCode.UNAVAILABLE),
        ([], StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_what_a_peer_says_is_an_answer_or_an_error(
    tmp_path: Path, frames: list[bytes], code: StatusCode | None
) -> None:
    async def test() -> None:
        async with peer(tmp_path / "s", *frames), calls_to(tmp_path / "s") as calls:
            if code is None:
                assert await calls.call(ECHO, b"", 5) == b"no"
            else:
                seconds = 0.3 if code is StatusCode.DEADLINE_EXCEEDED else 5
                assert (await failure_of(calls.call(ECHO, b"", seconds))).code() is code

    run(test)


def test_headers_in_many_frames_with_padding_and_priority_are_read(tmp_path: Path) -> None:
    block = status(b"0") + http2.literal(b"more", b"x" * 100)
    begun = b"\x02" + bytes(http2.PRIORITY_BYTES) + block[:9] + b"\0\0"
    flags = http2.END_STREAM | http2.PADDED | http2.PRIORITY
    parts = [
        http2.frame(http2.HEADERS, flags, 1, begun),
        http2.frame(http2.CONTINUATION, 0, 1, block[9:50]),
        http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, block[50:]),
    ]
    content = http2.frame(http2.DATA, http2.PADDED, 1, b"\x01\x00\x00\x00\x00\x02no\0")

    async def test() -> None:
        async with peer(tmp_path / "s", WELL, content, *parts), calls_to(tmp_path / "s") as calls:
            assert await calls.call(ECHO, b"", 5) == b"no"

    run(test)

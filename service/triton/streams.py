"""Unary gRPC calls side by side on one HTTP/2 connection: what is sent, what comes, how each ends.

Windows, resets and the farewell of a server are those of RFC 9113; statuses are gRPC's
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote_to_bytes

from grpc import StatusCode

from service.triton import http2
from service.triton.http2 import FrameReader, HeaderReader, ProtocolError

MAX_MESSAGE_BYTES = 64 << 20
# After so many bytes the other end is told that it may send as many again.
RENEW_BYTES = 1 << 24
PREFIX = struct.Struct(">BI")  # of a message: whether it is compressed, and its bytes
CODES = {cast(int, code.value[0]): code for code in StatusCode}
# What a stream's end without a status means, by HTTP/2's code; the others are INTERNAL.
RESETS = {
    0x7: StatusCode.UNAVAILABLE,
    0x8: StatusCode.CANCELLED,
    0xB: StatusCode.RESOURCE_EXHAUSTED,
    0xC: StatusCode.PERMISSION_DENIED,
}
SETTINGS = {
    http2.HEADER_TABLE_SIZE: 0,
    http2.ENABLE_PUSH: 0,
    http2.INITIAL_WINDOW_SIZE: http2.MOST_BYTES,
}
WIDEN = http2.MOST_BYTES - http2.WINDOW_BYTES


class CallFailed(Exception):
    """A call ended with another status than OK; it is asked for it like gRPC's own errors."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details = code, details

    def code(self) -> StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """The server's message, or ours where it sent none."""
        return self._details


@dataclass(slots=True, eq=False)
class Call:
    """One call under way: what is still to be sent, and what has come."""

    answer: asyncio.Future[bytes]
    window_bytes: int
    unsent: memoryview
    received: list[bytes] = field(default_factory=list)
    received_bytes: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def fail(self, code: StatusCode, details: str) -> None:
        """End it without an answer."""
        if not self.answer.done():
            self.answer.set_exception(CallFailed(code, details))

    def end(self) -> None:
        """End it by what has come: an answer, or a status that says why there is none."""
        status = self.headers.get(b"grpc-status")
        if status is None:
            shown = self.headers.get(b":status", b"no status").decode("latin-1")
            self.fail(StatusCode.UNKNOWN, f"the stream ended without a gRPC status ({shown})")
        elif status != b"0":
            code = CODES.get(int(status) if status.isdigit() else -1, StatusCode.UNKNOWN)
            message = unquote_to_bytes(self.headers.get(b"grpc-message", b""))
            self.fail(code, message.decode("utf-8", "replace"))
        elif not self.answer.done():
            self._end_well(b"".join(self.received))

    def _end_well(self, received: bytes) -> None:
        whole = PREFIX.pack(0, max(0, len(received) - PREFIX.size))
        if received[: PREFIX.size] == whole:
            self.answer.set_result(received[PREFIX.size :])
        else:
            self.fail(StatusCode.INTERNAL, "the answer is not one plain, whole message")


class Connection(asyncio.Protocol):
    """One connection to a gRPC server. Use it in its event loop only.

    Attributes:
        usable: whether it takes further calls.
    """

    def __init__(self) -> None:
        self.usable = False
        self._transport: asyncio.Transport
        self._frames, self._blocks = FrameReader(), HeaderReader()
        self._calls: dict[int, Call] = {}
        self._next_stream = 1
        # What the other end takes: of all streams, of each that begins, and in one frame.
        self._window_bytes = self._stream_window_bytes = http2.WINDOW_BYTES
        self._frame_bytes = http2.FRAME_BYTES
        # Streams that wait for room in a window, the oldest first.
        self._waiting: dict[int, Call] = {}
        self._received_bytes = 0
        # Headers that go on in the next frame: stream, flags and what has come.
        self._unfinished: tuple[int, int, bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open it: both sides say at once what they take."""
        self._transport = cast(asyncio.Transport, transport)
        widen = http2.frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", WIDEN))
        self._transport.write(http2.PREFACE + http2.settings_frame(SETTINGS) + widen)
        self.usable = True

    def begin(self, headers: bytes, message: bytes) -> tuple[int, Call]:
        """Send a call, as far as there is room for it; returns its stream and itself."""
        stream = self._next_stream
        self._next_stream += 2
        if self._next_stream > http2.MOST_BYTES:
            self.usable = False  # numbers are used up, after weeks; another connection begins anew
        prefixed = PREFIX.pack(0, len(message)) + message
        answer = asyncio.get_running_loop().create_future()
        call = Call(answer, self._stream_window_bytes, memoryview(prefixed))
        self._calls[stream] = call
        opening = http2.frame(http2.HEADERS, http2.END_HEADERS, stream, headers)
        room = min(self._window_bytes, call.window_bytes, self._frame_bytes)
        if self._waiting or len(prefixed) > room:
            self._transport.write(opening)
            self._waiting[stream] = call
            self._send_waiting()
        else:  # one piece, so that the other end wakes once
            self._window_bytes -= len(prefixed)
            call.unsent = memoryview(b"")
            body = http2.frame(http2.DATA, http2.END_STREAM, stream, prefixed)
            self._transport.write(opening + body)
        return stream, call

    def cancel(self, stream: int) -> None:
        """Have the other end give up a call whose answer nobody waits for any more."""
        if stream in self._calls:
            code = struct.pack(">I", http2.CANCEL)
            self._transport.write(http2.frame(http2.RST_STREAM, 0, stream, code))
            self._forget(stream)

    def close(self) -> None:
        """End it; calls under way fail."""
        self._end("the connection was closed")

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        try:
            for kind, flags, stream, payload in self._frames.read(data):
                self._take(kind, flags, stream, payload)
        except ProtocolError as error:
            self._end(f"what came is no HTTP/2: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        """Fail what is under way."""
        self._end(f"the connection broke: {error or 'it was closed at the other end'}")

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self._unfinished is not None and kind != http2.CONTINUATION:
            raise ProtocolError("headers were not continued")
        if kind == http2.DATA:
            self._take_data(flags, stream, payload)
        elif kind == http2.HEADERS:
            start = http2.PRIORITY_BYTES if flags & http2.PRIORITY else 0
            self._take_headers(flags, stream, http2.unpadded(flags, payload)[start:])
        elif kind == http2.CONTINUATION:
            self._continue_headers(flags, stream, payload)
        elif kind == http2.WINDOW_UPDATE:
            self._widen(stream, http2.number_of(payload))
        elif kind == http2.SETTINGS and not flags & http2.ACK:
            self._take_settings(http2.settings_of(payload))
        elif kind == http2.PING and not flags & http2.ACK:
            self._transport.write(http2.frame(http2.PING, http2.ACK, 0, payload))
        elif kind == http2.RST_STREAM:
            self._take_reset(stream, http2.number_of(payload))
        elif kind == http2.GOAWAY:
            self._take_goaway(http2.number_of(payload))
        elif kind == http2.PUSH_PROMISE:
            raise ProtocolError("it pushes, which we do not take")

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._received_bytes += len(payload)
        if self._received_bytes >= RENEW_BYTES:
            size = struct.pack(">I", self._received_bytes)
            self._transport.write(http2.frame(http2.WINDOW_UPDATE, 0, 0, size))
            self._received_bytes = 0
        call = self._calls.get(stream)
        if call is None:  # it was cancelled
            return
        call.received.append(http2.unpadded(flags, payload))
        call.received_bytes += len(payload)
        if call.received_bytes > MAX_MESSAGE_BYTES:
            call.fail(StatusCode.RESOURCE_EXHAUSTED, "the answer is too large")
            self.cancel(stream)
        elif flags & http2.END_STREAM:
            self._end_call(stream)

    def _take_headers(self, flags: int, stream: int, block: bytes) -> None:
        if not flags & http2.END_HEADERS:
            self._unfinished = stream, flags, block
            return
        # Read in any case: the reader has to see all that the writer wrote.
        headers = self._blocks.read(block)
        call = self._calls.get(stream)
        if call is not None:
            call.headers.update(headers)
            if flags & http2.END_STREAM:
                self._end_call(stream)

    def _continue_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if self._unfinished is None or self._unfinished[0] != stream:
            raise ProtocolError("headers are continued that had not begun")
        _, begun_flags, begun = self._unfinished
        self._unfinished = None
        if len(begun) > http2.FRAME_BYTES * 4:
            raise ProtocolError("headers without end")
        self._take_headers(begun_flags | flags & http2.END_HEADERS, stream, begun + payload)

    def _take_settings(self, settings: dict[int, int]) -> None:
        window = settings.get(http2.INITIAL_WINDOW_SIZE)
        if window is not None:
            for call in self._calls.values():
                call.window_bytes += window - self._stream_window_bytes
            self._stream_window_bytes = window
        self._frame_bytes = settings.get(http2.MAX_FRAME_SIZE, self._frame_bytes)
        self._transport.write(http2.frame(http2.SETTINGS, http2.ACK, 0, b""))
        self._send_waiting()

    def _widen(self, stream: int, size: int) -> None:
        call = self._calls.get(stream)
        if stream == 0:
            self._window_bytes += size
        elif call is not None:
            call.window_bytes += size
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Send what there is room for: of all streams together, and of each."""
        for stream, call in list(self._waiting.items()):
            while call.unsent:
                room = min(self._window_bytes, call.window_bytes, self._frame_bytes)
                if room <= 0:
                    break
                part, call.unsent = bytes(call.unsent[:room]), call.unsent[room:]
                self._window_bytes -= len(part)
                call.window_bytes -= len(part)
                flags = 0 if call.unsent else http2.END_STREAM
                self._transport.write(http2.frame(http2.DATA, flags, stream, part))
            if not call.unsent:
                del self._waiting[stream]

    def _take_reset(self, stream: int, code: int) -> None:
        call = self._calls.get(stream)
        if call is not None:
            status = RESETS.get(code, StatusCode.INTERNAL)
            call.fail(status, f"the stream was reset with code {code}")
            self._forget(stream)

    def _take_goaway(self, last_stream: int) -> None:
        self.usable = False
        for stream in [each for each in self._calls if each > last_stream]:
            self._calls[stream].fail(StatusCode.UNAVAILABLE, "the server takes no more calls")
            self._forget(stream)
        self._close_when_done()

    def _end_call(self, stream: int) -> None:
        self._calls[stream].end()
        if stream in self._waiting:  # it was answered before it was sent
            self.cancel(stream)
        else:
            self._forget(stream)

    def _forget(self, stream: int) -> None:
        del self._calls[stream]
        self._waiting.pop(stream, None)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if not self.usable and not self._calls:
            self._transport.close()

    def _end(self, why: str) -> None:
        self.usable = False
        calls = list(self._calls.values())
        self._calls.clear()
        self._waiting.clear()
        for call in calls:
            call.fail(StatusCode.UNAVAILABLE, why)
        self._transport.abort()

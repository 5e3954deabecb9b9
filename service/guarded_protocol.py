"""Uvicorn's HTTP/1.1 protocol, with limits that hold for senders and readers who take their time.

Uvicorn bounds neither the headers of a request nor the time that they take, nor that of a body or
of an answer that nobody reads. A whole request that comes at once pays for none of it with a timer.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Literal, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.body import TOO_SLOW
from service.bare_answer import bare_answer
from service.connections import Connections, counted_as
from service.errors import MalformedRequest, RequestError, SlowRequest
from service.head_limits import has_body
from service.problems import problem_of

# The application answers who sends too slowly; who does not read that is cut off after this.
ANSWER_GRACE_SECONDS = 2.0
# A connection that is closed with unread data is reset, and the client may lose the answer. So what
# still comes is read and dropped, within bounds.
LINGER_SECONDS = 1.0
LINGER_BYTES = 16 * 2**20
MOST_LINGER = 256
# Requests sent ahead, before the answer to the first. Each costs memory.
PIPELINED = 16

Phase = Literal["head", "body", "done"]


class GuardedProtocol(HttpToolsProtocol):
    """One connection, counted in `connections` and held to their settings."""

    def __init__(self, *, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.address = ""
        self._connections = connections
        self._settings = connections.settings
        self._head_limits = connections.head_limits
        # What is being received; "done" where a message has wholly come and no other has begun.
        self.url, self.headers = b"", []
        self._phase: Phase = "head"
        self._begun = False
        self._head_bytes = 0
        self._data_bytes = 0
        self._body_bytes = 0
        self._receiving_since = 0.0
        self._receiving: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._breach: RequestError | None = None
        # No more is taken: what is under way is answered, and then it closes.
        self._last = False
        self._lingers = False
        self._dropped_bytes = 0

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, or tell that there is no room."""
        super().connection_made(transport)
        self.address = counted_as(self.client[0]) if self.client else ""
        refusal = self._connections.join(self)
        if refusal is None:
            self._time_receiving(self._settings.header_seconds)
        elif self._connections.lingering < MOST_LINGER:
            self._refuse(refusal)
        else:
            self._cut(refusal)
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no longer."""
        self._connections.leave(self)
        self._stop_timers()
        if self._lingers:
            self._connections.lingering -= 1
        super().connection_lost(exc)

    def give_way(self) -> None:
        """Close at once, whatever has not been sent or read."""
        self.transport.abort()

    # What comes

    def data_received(self, data: bytes) -> None:
        """Parse what came, within the limits."""
        if self._lingers or self._last:
            self._drop(len(data))
            return
        self._unset_keepalive_if_required()
        self._data_bytes = len(data)
        if self._phase == "body":
            self._body_bytes += len(data)
        in_head = self._begun and self._phase == "head"
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # we speak nothing else, so it is answered as if it had not been asked
        except httptools.HttpParserError:
            self._refuse(self._breach or MalformedRequest("this is not HTTP/1.1"))
            return
        if in_head and self._phase == "head":
            self._head_bytes += len(data)
        # Of trailers, which nobody here reads, as many may come as of headers.
        if self._head_is_large(0) and self._breach is not None:
            self._refuse(self._breach)
        elif self._receiving is None:
            self._mind_sender()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._phase, self._begun, self._head_bytes = "head", True, 0

    def on_headers_complete(self) -> None:
        """A request's headers have come: begin it, or queue it behind another."""
        if self._head_is_large(self._data_bytes):
            raise httptools.HttpParserError
        if len(self.pipeline) >= PIPELINED:
            self._breach = MalformedRequest(f"over {PIPELINED} requests are sent ahead of answers")
            raise httptools.HttpParserError
        if self.parser.should_upgrade() and has_body(self.headers):
            # The parser skips that body, and would read it as the next request.
            self._breach = MalformedRequest("nothing but HTTP/1.1 here; send it without Upgrade")
            raise httptools.HttpParserError
        super().on_headers_complete()
        # Trailers come after the body, and must not change the headers that were checked.
        self.headers = []
        self._stop_receiving()
        self._phase, self._body_bytes = "body", 0
        self._connections.work(self)

    def on_message_complete(self) -> None:
        """A request has wholly come."""
        super().on_message_complete()
        self._stop_receiving()
        self._phase, self._begun = "done", False
        if not self._answering:  # it was answered before it had come
            self._connections.wait(self)

    def _head_is_large(self, now_bytes: int) -> bool:
        """Whether headers are over a limit; some of the `now_bytes` that just came are theirs."""
        self._breach = self._head_limits.breach(self.url, self.headers, self._head_bytes, now_bytes)
        return self._breach is not None

    # Time

    def _mind_sender(self) -> None:
        if self._phase == "body":
            self._time_receiving(self._settings.body_seconds)
        elif self._begun or not self._answering:
            self._time_receiving(self._settings.header_seconds)

    def _time_receiving(self, seconds: float) -> None:
        self._receiving_since = self.loop.time()
        self._receiving = self.loop.call_later(seconds, self._receiving_took_long)

    def _receiving_took_long(self) -> None:
        self._receiving = None
        if self._phase == "body":
            self._body_took_long()
        elif self._begun:
            seconds = self._settings.header_seconds
            self._refuse(SlowRequest(f"its headers did not come within {seconds:g} s"))
        else:
            self._connections.on_cut("idle")
            self.transport.close()

    def _body_took_long(self) -> None:
        if self.flow.read_paused or self.pipeline:  # it waits for us
            self._time_receiving(self._settings.body_seconds)
            return
        # Never more than for the largest body, whatever else travels between its chunks.
        came_bytes = min(self._body_bytes, self._settings.max_body_bytes)
        allowed = self._settings.body_seconds + came_bytes / self._settings.slowest_bytes_per_second
        left = self._receiving_since + allowed - self.loop.time()
        if left > 0:
            self._receiving = self.loop.call_later(left, self._receiving_took_long)
            return
        self._connections.on_cut("slow_body")
        if self.cycle.response_complete:
            self.transport.abort()
            return
        self.cycle.scope["state"][TOO_SLOW] = True
        self.cycle.message_event.set()
        self._receiving = self.loop.call_later(ANSWER_GRACE_SECONDS, self.transport.abort)

    def _stop_receiving(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _stop_timers(self) -> None:
        self._stop_receiving()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    # What goes

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_response_complete(self) -> None:
        """An answer is written: the next request, or wait for one."""
        more = bool(self.pipeline)
        super().on_response_complete()
        if self._last and not more:
            self.transport.close()
        if self.transport.is_closing():
            self._mind_reader()
        elif not more and self._phase == "done":
            self._connections.wait(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        super().pause_writing()
        self._mind_reader()

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._reading is not None and not self.transport.is_closing():
            self._reading.cancel()
            self._reading = None

    def timeout_keep_alive_handler(self) -> None:
        """Nothing came for long: close, without waiting for who has not read the last answer."""
        if self.transport.get_write_buffer_size():
            self._connections.on_cut("slow_reader")
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def _mind_reader(self) -> None:
        if self._reading is None:
            unread_bytes = self.transport.get_write_buffer_size()
            seconds = unread_bytes / self._settings.slowest_bytes_per_second
            seconds += self._settings.answer_seconds
            self._reading = self.loop.call_later(seconds, self._reading_took_long)

    def _reading_took_long(self) -> None:
        self._reading = None
        self._connections.on_cut("slow_reader")
        self.transport.abort()

    # Refusing

    def _refuse(self, error: RequestError) -> None:
        """Answer with a problem and close; what is under way is answered before."""
        self._cut(error)
        self._stop_timers()
        if self._answering:
            if self._phase == "body" and self.pipeline:
                self.pipeline.popleft()  # the one that is wrong
            elif self._phase == "body":
                self._give_up_cycle()
            if not self.cycle.disconnected:
                self._last = True
                return
            if self.cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(bare_answer(error, self.server_state.default_headers))
        self._linger()

    def _give_up_cycle(self) -> None:
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _cut(self, error: RequestError) -> None:
        reason = problem_of(error).slug.replace("-", "_")
        self._connections.on_cut("slow_headers" if reason == "slow_request" else reason)

    def _linger(self) -> None:
        """Close once the client has, or after a moment."""
        self._lingers = True
        self._connections.lingering += 1
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._receiving = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _drop(self, count: int) -> None:
        self._dropped_bytes += count
        if self._dropped_bytes > LINGER_BYTES:
            self.transport.abort()


def guarded(connections: Connections) -> type[asyncio.Protocol]:
    """What uvicorn's `http` takes, with its connections counted in `connections`."""
    return cast("type[asyncio.Protocol]", partial(GuardedProtocol, connections=connections))

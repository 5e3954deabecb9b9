"""Keep-alive HTTP connections for gevent, with nothing on the way that costs time."""

from __future__ import annotations

import select
import ssl
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent.lock
import gevent.monkey
import gevent.socket
import gevent.ssl
import httptools

_RECEIVE_BYTES = 16_384
_NANOSECONDS = 1e9
# Servers close idle connections after two seconds and more; a request must not meet that.
_LONGEST_IDLE_NS = 1_500_000_000
# gevent's own, which Locust puts in its place, goes through the loop; this one never waits.
_poll = gevent.monkey.get_original("select", "poll")


class Broken(Exception):
    """The connection failed, or what came over it was no HTTP."""


class _Answer:
    """Only the status counts: httptools calls what it finds here, and drops headers and body."""

    def __init__(self) -> None:
        self.complete = self.keep_alive = False
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self) -> None:
        """The whole answer has come; afterwards the parser has forgotten how it was framed."""
        self.complete = True
        self.keep_alive = self.parser.should_keep_alive()


@dataclass(frozen=True, slots=True)
class Address:
    """Where the service listens, looked up once."""

    host: str
    port: int
    tls: bool
    family: int
    socket_address: tuple[str | int, ...]

    @classmethod
    def of(cls, url: str) -> Address:
        """Look up the host of an http or https URL.

        Raises:
            OSError: the host is not known.
        """
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if tls else 80)
        found = gevent.socket.getaddrinfo(host, port, 0, gevent.socket.SOCK_STREAM)
        family, _, _, _, socket_address = found[0]
        return cls(host, port, tls, family, socket_address)


class Connections:
    """At most `limit` connections at a time; the one used last is used next."""

    def __init__(self, address: Address, limit: int) -> None:
        self._address = address
        self._free = gevent.lock.BoundedSemaphore(limit)
        self._idle: list[tuple[gevent.socket.socket, int]] = []
        self._tls = ssl_context() if address.tls else None

    def exchange(self, request: bytes, deadline_ns: int) -> int:
        """Send a whole request and return its answer's status.

        Waits for a free connection where all are in use: the load is open, what it has to wait for
        is the service's doing.

        Raises:
            TimeoutError: `time.monotonic_ns()` passed `deadline_ns`.
            Broken: the connection could not be made, broke, or carried no HTTP.
        """
        if not self._free.acquire(timeout=_left_seconds(deadline_ns)):
            raise TimeoutError
        try:
            connection = self._kept() or self._connect(deadline_ns)
            return self._over(connection, request, deadline_ns)
        except TimeoutError:
            raise
        except (OSError, httptools.HttpParserError) as error:
            raise Broken(type(error).__name__) from error
        finally:
            self._free.release()

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[0].close()

    def _kept(self) -> gevent.socket.socket | None:
        """A connection that is still open; nothing is ever sent twice to find out."""
        while self._idle:
            connection, since_ns = self._idle.pop()
            # Readable before anything was asked: the other side has closed it.
            poll = _poll()
            poll.register(connection.fileno(), select.POLLIN)
            if time.monotonic_ns() - since_ns < _LONGEST_IDLE_NS and not poll.poll(0):
                return connection
            connection.close()
        return None

    def _connect(self, deadline_ns: int) -> gevent.socket.socket:
        connection = gevent.socket.socket(self._address.family, gevent.socket.SOCK_STREAM)
        try:
            # Without this the last segment of a long request waits for an acknowledgement that
            # the other side delays by 40 ms.
            connection.setsockopt(gevent.socket.IPPROTO_TCP, gevent.socket.TCP_NODELAY, 1)
            connection.settimeout(_left_seconds(deadline_ns))
            connection.connect(self._address.socket_address)
            if self._tls is None:
                return connection
            return self._tls.wrap_socket(connection, server_hostname=self._address.host)
        except BaseException:
            connection.close()
            raise

    def _over(self, connection: gevent.socket.socket, request: bytes, deadline_ns: int) -> int:
        answer = _Answer()
        reusable = False
        try:
            connection.settimeout(_left_seconds(deadline_ns))
            connection.sendall(request)
            while not answer.complete:
                connection.settimeout(_left_seconds(deadline_ns))
                data = connection.recv(_RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError
                answer.parser.feed_data(data)
            reusable = answer.keep_alive
            return answer.parser.get_status_code()
        finally:
            if reusable:
                self._idle.append((connection, time.monotonic_ns()))
            else:
                connection.close()


def ssl_context() -> gevent.ssl.SSLContext:
    """Certificates are checked as browsers do."""
    return gevent.ssl.create_default_context(ssl.Purpose.SERVER_AUTH)


def _left_seconds(deadline_ns: int) -> float:
    left_ns = deadline_ns - time.monotonic_ns()
    if left_ns <= 0:
        raise TimeoutError
    return left_ns / _NANOSECONDS

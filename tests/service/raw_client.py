"""Clients that write their requests by hand, and as slowly as a test wants."""

from __future__ import annotations

import json
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

JSON = b"Content-Type: application/json\r\n"
HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\n" + JSON
BODY = b'{"input": "a good film"}'
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@dataclass
class Answer:
    """Status 0 is a connection that was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False

    @property
    def problem(self) -> dict[str, Any]:
        """The body of an error."""
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == self.status
        assert found["request_id"] == self.headers["x-request-id"]
        return found


class RawClient:
    """One connection to a service at `url`."""

    def __init__(self, url: str, receive_buffer_bytes: int | None = None) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.socket()
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(15)
        self.socket.connect((host, int(port)))
        self._unread = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it; who is no longer heard learns it from the answer."""
        with suppress(OSError):
            self.socket.sendall(data)

    def trickle(self, data: bytes, interval_seconds: float, most_seconds: float) -> float:
        """Send byte by byte until something comes back; the seconds that it took."""
        begun = time.monotonic()
        self.socket.settimeout(interval_seconds)
        for value in data:
            if time.monotonic() - begun > most_seconds:
                raise AssertionError(f"nothing came back within {most_seconds} s")
            try:
                self.socket.sendall(bytes([value]))
                self._unread += self.socket.recv(65536)
                break
            except TimeoutError:
                continue
            except OSError:
                break
        self.socket.settimeout(15)
        return time.monotonic() - begun

    def receive(self) -> Answer:
        """The next answer, by its Content-Length."""
        data = self._unread
        while b"\r\n\r\n" not in data:
            part = self._part()
            if not part:
                return Answer(0, {}, data, closed=True)
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        length = int(headers["content-length"])
        while len(body) < length and (part := self._part()):
            body += part
        self._unread = body[length:]
        return Answer(int(first.split()[1]), headers, body[:length])

    def is_closed(self, within_seconds: float) -> bool:
        """Whether the other side closes, with nothing more sent before."""
        self.socket.settimeout(within_seconds)
        try:
            return self._unread == b"" and self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    def _part(self) -> bytes:
        try:
            return self.socket.recv(65536)
        except ConnectionError:
            return b""


def metric(client: Any, name: str, **labels: str) -> float:
    """One series of /metrics, 0 where it is not there yet."""
    for line in client.get("/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        found, _, rest = series.partition("{")
        if found == name and dict(re.findall(r'(\w+)="([^"]*)"', rest)) == labels:
            return float(value)
    return 0.0


def cut(client: Any, reason: str) -> float:
    """Connections cut for a reason."""
    return metric(client, "sub50_connections_cut_total", reason=reason)

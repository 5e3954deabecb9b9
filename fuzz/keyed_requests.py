"""Requests of anybody to every route of a service that asks for keys. Each comes from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from fuzz import credentials, raw_requests
from fuzz.credentials import Holder

TEXT = b'{"input": "A good film."}'
TASK = b'{"inputs": "A good film."}'
# One that serves already, so that nothing changes.
VERSION = b'{"version": "1"}'


@dataclass(frozen=True)
class Route:
    """What is asked for, and who may: None is everybody."""

    method: bytes
    path: bytes
    for_whom: Holder | None
    body: bytes = b""
    takes_password: bool = False


def _page(path: bytes) -> Route:
    return Route(b"GET", path, "manager", takes_password=True)


# Each group is asked as often as the others.
ROUTES: Sequence[Sequence[Route]] = (
    (
        Route(b"POST", b"/v1/classify", "caller", TEXT),
        Route(b"POST", b"/v1/summarize", "caller", TEXT),
        Route(b"POST", b"/predict", "caller", TASK),
        Route(b"POST", b"/hf/sentiment", "caller", TASK),
        Route(b"GET", b"/v1/models", "caller"),
        Route(b"GET", b"/v1/models/sentiment", "caller"),
    ),
    (
        Route(b"POST", b"/v1/manage/models/sentiment/promote", "manager", VERSION),
        Route(b"POST", b"/v1/manage/models/sentiment/rollback", "manager"),
    ),
    (
        *(_page(b"/"), _page(b"/board/board.js"), _page(b"/v1/board"), _page(b"/metrics")),
        *(_page(b"/docs"), _page(b"/openapi.json"), _page(b"/static-offline-docs/swagger-ui.css")),
    ),
    # Not /readyz: it is open, too, and says 503 where the machine is busy.
    (Route(b"GET", b"/livez", None),),
)
METHODS = (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"get", b"QUERY")


@dataclass(frozen=True)
class Asked:
    """One request.

    `allowed`: it may be answered with 2xx. `owed`: it may not be turned away for want of a key.
    """

    content: bytes
    allowed: bool
    owed: bool


@dataclass(frozen=True)
class KeyedRequest:
    """Requests over one connection; none where bytes that are no proper HTTP bear no key."""

    pieces: tuple[bytes, ...]
    asked: tuple[Asked, ...] = ()


def make(seed: int) -> KeyedRequest:
    """The requests of a seed, always the same."""
    random = Random(seed)
    if random.random() < 0.2:
        return KeyedRequest(raw_requests.make(seed).pieces)
    count = random.choice((1, 1, 1, 2, 3))
    asked = tuple(_ask(random, is_last=number == count) for number in range(1, count + 1))
    return KeyedRequest((b"".join(each.content for each in asked),), asked)


def _ask(random: Random, is_last: bool) -> Asked:
    route = random.choice(random.choice(ROUTES))
    sent = credentials.make(random, route.takes_password)
    may = route.for_whom in (None, sent.holder)
    method, path = route.method, route.path
    is_plain = random.random() < 0.7
    if not is_plain and route.for_whom is not None:
        if random.random() < 0.7:
            path = _spelled_otherwise(path, random)
        else:
            method = random.choice(METHODS)
    lines = [b"Host: localhost\r\n", b"Content-Type: application/json\r\n", sent.lines]
    random.shuffle(lines)
    if is_last:  # so that nobody has to wait for more
        lines.append(b"Connection: close\r\n")
    head = b"%b %b HTTP/1.1\r\n" % (method, path + sent.query)
    length = b"Content-Length: %d\r\n\r\n" % len(route.body)
    content = head + b"".join(lines) + length + route.body
    is_open = route.for_whom is None
    return Asked(
        content,
        allowed=is_open or (may and sent.counts is not False),
        owed=is_plain and may and sent.counts is True,
    )


def _spelled_otherwise(path: bytes, random: Random) -> bytes:
    """Another spelling of a path, which somebody may take for the same one."""
    at = random.randrange(len(path))
    return random.choice(
        (
            b"/" + path,
            path + b"/",
            path.upper(),
            path[:at] + b"%%%02x" % path[at] + path[at + 1 :],
            path[:at] + b"%%25%02x" % path[at] + path[at + 1 :],
            path + b"%00",
            path + b";x",
            path + b"?x",
            path + b"#x",
            b"/." + path,
            b"/x/.." + path,
            b"/livez/.." + path,
            b"/board/.." + path,
            b"/livez%2f.." + path,
            b"http://elsewhere.test" + path,
            b"http://localhost/livez/.." + path,
            path.replace(b"/", b"//"),
            path.replace(b"/", b"\\"),
            b"*" + path,
            path.lstrip(b"/") or b"x",
        )
    )

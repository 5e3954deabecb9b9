"""Bytes that are no proper HTTP: what a hostile or broken client writes to the socket.

Each comes from a seed: one of the requests below as it stands, or changed at random places.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

# Stands in requests hidden within others. An answer that names it was given to a request that the
# client in front did not see: requests can be smuggled.
HIDDEN = b"/hidden-within-another"
BODY = b'{"input": "A good film."}'
POST = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
HIDDEN_REQUEST = b"GET " + HIDDEN + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"

LENGTHS = [
    b"-1",
    b"+25",
    b"0x19",
    b"25, 25",
    b"25,26",
    b"1e3",
    b"",
    b" ",
    b"\xb2",
    b"9" * 40,
    b"25\x00",
    b"18446744073709551616",
    b"25;",
    b"2 5",
    b"00000000000000000025",
    b"\t25\t",
    b"25\x0b",
]
CODINGS = [
    b"chunked, identity",
    b"identity",
    b"xchunked",
    b"chunked\x0b",
    b"\tchunked",
    b"Chunked",
    b"gzip, chunked",
    b"chunked, chunked",
    b"chun\rked",
    b"chunked;q=1",
    b"",
    b"'chunked'",
]
CHUNK_SIZES = [
    b"FFFFFFFFFFFFFFFF",
    b"FFFFFFFFFFFFFFFFF",
    b"-1",
    b"0x19",
    b"19;" + b"e" * 9000,
    b"1 9",
    b"g",
    b"19\n",
    b"",
    b"+19",
    b"7FFFFFFFFFFFFFFF",
    b"019",
    b"19\x00",
    b"\xff",
    b"0\r\n\r\n0",
]
HEADER_LINES = [
    b"X-Bare: a\rb\r\n",
    b"X-Nul: a\x00b\r\n",
    b"X\x00Nul: a\r\n",
    b"X-Fold: a\r\n b\r\n",
    b"No colon at all\r\n",
    b"X-Space : a\r\n",
    b": no name\r\n",
    b"X-Long: " + b"a" * 70_000 + b"\r\n",
    b"X" * 70_000 + b": a\r\n",
    b"".join(b"X-%d: a\r\n" % i for i in range(2000)),
    b"X-Lf: a\n",
    b"X-High: \x80\xff\r\n",
    b"(X): a\r\n",
    b"Host: other\r\n",
    b"Connection: close, keep-alive\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"Expect: 100-continue\r\n",
    b"Expect: a miracle\r\n",
    b"Content-Encoding: gzip\r\n",
    b"X-Request-ID: a\r\n\tb\r\n",
    b"X-Request-ID: " + b"a" * 5000 + b"\r\n",
    b"X-Request-Timeout-Ms: 1e-9\r\n",
    b"Authorization: Bearer \xff\r\n",
    b"Trailer: Content-Length\r\n",
    b"Range: bytes=0-0,-1,5-2\r\n",
    b"TE: trailers\r\n",
    b"Proxy-Connection: keep-alive\r\n",
]
FIRST_LINES = [
    b"GET /livez\r\n",
    b"GET /livez",
    b"GET http://elsewhere.test/livez HTTP/1.1\r\n",
    b"CONNECT elsewhere.test:443 HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET //x/livez HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n",
    b"GET /livez HTTP/1.0\r\n",
    b"GET /livez HTTP/9.9\r\n",
    b"GET /livez HTTP/1.1 more\r\n",
    b"get /livez HTTP/1.1\r\n",
    b"BREW /livez HTTP/1.1\r\n",
    b"GET  /livez  HTTP/1.1\r\n",
    b"\r\n\r\nGET /livez HTTP/1.1\r\n",
    b"GET /\x00 HTTP/1.1\r\n",
    b"GET /%00%ff%2e%2e%2f HTTP/1.1\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\n",
    b"GET ?# HTTP/1.1\r\n",
    b"GET \xff\xfe HTTP/1.1\r\n",
    b"HEAD /livez HTTP/1.1\r\n",
    b"TRACE /v1/classify HTTP/1.1\r\n",
    b"DELETE /metrics HTTP/1.1\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET http:// HTTP/1.1\r\n",
    b"* * *\r\n",
    b"GET /livez?" + b"a=b&" * 5000 + b" HTTP/1.1\r\n",
    b"GET http://[::1 HTTP/1.1\r\n",
    b"\x00" * 100,
    b"GET /static-offline-docs/..%2f..%2fcore.py HTTP/1.1\r\n",
    b"GET /v1/models/%2e%2e HTTP/1.1\r\n",
]


@dataclass(frozen=True)
class RawRequest:
    """Bytes to write, piece by piece; if `intact`, nothing that they hide may be answered."""

    pieces: tuple[bytes, ...]
    intact: bool

    @property
    def content(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


def make(seed: int) -> RawRequest:
    """The request of a seed, always the same."""
    random = Random(seed)
    content = random.choice(KINDS)(random)
    intact = random.random() < 0.4
    if not intact:
        for _ in range(random.choice((1, 1, 2, 5))):
            content = changed(content, random)
    if random.random() < 0.7:
        return RawRequest((content,), intact)
    # Most often behind the headers: what is read on its own may be read as something else.
    behind_head = content.find(b"\r\n\r\n") + 4
    at = behind_head if random.random() < 0.7 else random.randrange(len(content) + 1)
    return RawRequest((content[:at], content[at:]), intact)


def _strange_length(random: Random) -> bytes:
    lengths = b"".join(b"Content-Length: %b\r\n" % random.choice(LENGTHS) for _ in "12")
    return POST + random.choice((lengths, lengths.split(b"\r\n")[0] + b"\r\n")) + b"\r\n" + BODY


def _length_and_chunks(random: Random) -> bytes:
    """Both ways to tell where a body ends, with a request hidden behind one of the ends."""
    coding = random.choice((b"chunked", *CODINGS))
    length = random.choice((b"Content-Length: 5\r\n", b"Content-Length: %d\r\n" % 200))
    headers = [length, b"Transfer-Encoding: %b\r\n" % coding]
    random.shuffle(headers)
    return POST + b"".join(headers) + b"\r\n0\r\n\r\n" + HIDDEN_REQUEST


def _hidden_in_body(random: Random) -> bytes:
    """A request that is the body of another, which asks for something else than HTTP/1.1."""
    asks = random.choice(
        (
            b"",
            b"Expect: 100-continue\r\n",
            b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
            b"Connection: close\r\n",
            b"X-HTTP-Method-Override: GET\r\n",
        )
    )
    head = random.choice(
        (POST, b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"CONNECT x:80 HTTP/1.1\r\n")
    )
    length = b"Content-Length: %d\r\n\r\n" % len(HIDDEN_REQUEST)
    return head + asks + length + HIDDEN_REQUEST


def _strange_chunks(random: Random) -> bytes:
    head = POST + b"Transfer-Encoding: chunked\r\n\r\n"
    size = random.choice((b"19", *CHUNK_SIZES))
    end = random.choice((b"\r\n", b"\n", b"", b"\r", b"xx"))
    trailer = random.choice((b"", b"X: y\r\n", b"Content-Length: 3\r\n", b"X" * 9000 + b"\r\n"))
    return head + size + end + BODY + end + b"0\r\n" + trailer + b"\r\n"


def _strange_header(random: Random) -> bytes:
    lines = b"".join(random.sample(HEADER_LINES, random.choice((1, 2, 4))))
    return POST + lines + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def _strange_first_line(random: Random) -> bytes:
    return random.choice(FIRST_LINES) + b"Host: localhost\r\n\r\n"


def _pipelined(random: Random) -> bytes:
    whole = POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    return b"".join(random.choices((whole, GET + b"\r\n"), k=random.choice((2, 5, 30))))


def _random_body(random: Random) -> bytes:
    body = random.randbytes(random.choice((0, 1, 20, 400)))
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _noise(random: Random) -> bytes:
    return random.randbytes(random.choice((1, 10, 200, 5000)))


KINDS = (
    _strange_length,
    _length_and_chunks,
    _hidden_in_body,
    _strange_chunks,
    _strange_header,
    _strange_first_line,
    _pipelined,
    _random_body,
    _noise,
)
PIECES = (b"\r", b"\n", b"\r\n", b"\x00", b" ", b":", b"\t", b"\xff", b"0", b"-", b"\r\n\r\n", b"%")


def changed(content: bytes, random: Random) -> bytes:
    """A copy with one place changed: cut off, doubled, overwritten or put in."""
    at = random.randrange(len(content) + 1)
    to = min(len(content), at + random.choice((1, 1, 4, 40)))
    what = random.randrange(4)
    if what == 0:
        return content[:at]
    if what == 1:
        return content[:to] + content[at:]
    middle = random.choice(PIECES)
    return content[:at] + middle + content[to if what == 2 else at :]

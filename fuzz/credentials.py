"""Headers that say who asks: rightly, nearly, or not at all. Each comes from a seed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from random import Random
from typing import Literal
from urllib.parse import quote

from fuzz.keys import CALLER, MANAGER
from service.keys.line import PREFIX, line_of

Holder = Literal["nobody", "caller", "manager"]
KEYS: dict[Holder, str] = {"caller": CALLER, "manager": MANAGER}
# Beyond the bound of all headers, and below it.
LONG = (9_000, 40_000)


@dataclass(frozen=True)
class Credentials:
    """Header lines, and what comes behind the path; `holder` is whose key they bear.

    `counts`: whether the service takes a key in that form; None where either will do.
    """

    holder: Holder
    lines: bytes = b""
    query: bytes = b""
    counts: bool | None = False


def make(random: Random, takes_password: bool) -> Credentials:
    """Credentials of anybody; `takes_password`: the route also takes a key as a password."""
    holder: Holder = random.choice(("nobody", "caller", "manager"))
    if holder == "nobody":
        return Credentials(holder, _strange_lines(random))
    return _of_holder(holder, KEYS[holder].encode(), random, takes_password)


def _of_holder(holder: Holder, key: bytes, random: Random, takes_password: bool) -> Credentials:
    """The key in a form that counts in half of all cases, else in another place or form."""
    bearer = b"Authorization: Bearer %b\r\n" % key
    if random.random() < 0.5:
        sound = [
            bearer,
            b"authorization: bearer %b\r\n" % key,
            b"AUTHORIZATION:BEARER    %b  \r\n" % key,
        ]
        return Credentials(holder, random.choice(sound), counts=True)
    if random.random() < 0.2:
        password = _basic(random.choice((b"", b"anybody")) + b":" + key)
        return Credentials(holder, password, counts=takes_password)
    if random.random() < 0.2:
        both = [bearer, _strange_lines(random)]
        random.shuffle(both)
        return Credentials(holder, b"".join(both), counts=None)
    if random.random() < 0.2:
        name = random.choice((b"key", b"api_key", b"access_token", b"Authorization"))
        return Credentials(holder, query=b"?%b=%b" % (name, key))
    misplaced = [
        b"Authorization: %b\r\n" % key,
        b"Authorization: Token %b\r\n" % key,
        b"Authorization: Bearer=%b\r\n" % key,
        b"Authorization: Digest %b\r\n" % key,
        b"Authorization:\r\nX-More: Bearer %b\r\n" % key,
        b"Proxy-Authorization: Bearer %b\r\n" % key,
        b"X-Api-Key: %b\r\n" % key,
        b"Cookie: Authorization=Bearer %b\r\n" % key,
        b"X-Authorization: Bearer %b\r\n" % key,
        b"X-Forwarded-Authorization: Bearer %b\r\n" % key,
        _basic(key + b":"),
        _basic(key),
    ]
    return Credentials(holder, random.choice(misplaced))


def _basic(content: bytes) -> bytes:
    return b"Authorization: Basic %b\r\n" % base64.b64encode(content)


def _strange_lines(random: Random) -> bytes:
    """Up to three headers, none of which lets anybody in."""
    return b"".join(_strange_line(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3))))


def _strange_line(random: Random) -> bytes:
    what = near_miss(random)
    kind = random.randrange(6)
    if kind == 0:
        # What would end the line is left out.
        noise = random.randbytes(random.choice((1, 20, 300))).translate(None, b"\r\n")
        return b"Authorization: Bearer " + noise + b"\r\n"
    if kind == 1:
        return b"Authorization: Bearer " + what + b"a" * random.choice(LONG) + b"\r\n"
    if kind == 2:
        padding = random.choice((b"", b"=", b"!", b" "))
        return _basic(b":" + what).replace(b"\r\n", padding + b"\r\n")
    scheme = random.choice((b"Bearer", b"bearer", b"Basic", b"", b"Bearer\t", b"B\xe9arer"))
    return b"Authorization: " + scheme + b" " + what + b"\r\n"


def near_miss(random: Random) -> bytes:
    """What is nearly one of the keys, or says what it is, and is none."""
    key = random.choice((CALLER, MANAGER))
    at = random.randrange(1, len(key))
    digest = hashlib.sha256(key.encode()).hexdigest()
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in key)  # the same to who normalises
    misses: list[str | bytes] = [
        key[:-1],
        key[1:],
        key + "x",
        key[:at] + ("y" if key[at] == "x" else "x") + key[at + 1 :],
        key[:at] + key[at + 1 :] + "\0",
        key[:at] + "\0" + key[at:],
        key.swapcase(),
        key[::-1],
        key * 2,
        f"{key},{key}",
        f'"{key}"',
        f"{key[:at]} {key[at:]}",
        quote(key, safe="").replace("_", "%5F"),
        "".join(f"%{ord(letter):02x}" for letter in key),
        wide.encode(),
        key.encode("utf-16"),
        base64.b64encode(key.encode()),
        digest,
        f"sha256:{digest}",
        line_of("ana", key),
        bytes.fromhex(digest).translate(None, b"\r\n"),
        key.removeprefix(PREFIX),
        PREFIX,
        "ana",
        "",
        "*",
        "null",
        "' or '1'='1",
    ]
    miss = random.choice(misses)
    return miss if isinstance(miss, bytes) else miss.encode()

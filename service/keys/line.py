"""One key, one line: `NAME sha256:HASH rate=100 burst=200`. The key itself is in no file.

A key that `sub50 keys new` makes has 256 random bits. Nobody can guess one, however fast they try,
so a plain SHA-256 keeps it; the slow hashes that passwords need would only make requests late.
"""

from __future__ import annotations

import hashlib
import math
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "sub50_"
MANAGEMENT_PREFIX = "sub50_manage_"
KEY_BYTES = 32
HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PER_SECOND = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
BURST = re.compile(r"[1-9][0-9]{0,8}")
HOW = "write `NAME sha256:HASH` on a line, as `sub50 keys new NAME` prints it"
NO_LIMIT = "none"


class KeysError(ValueError):
    """Keys cannot be used. The message says which line and why, and never holds one."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one holder of keys may ask.

    `per_second`: requests a second in the long run; infinite is no limit, None what the setting
    says. `burst`: requests at once; None is as many as a second brings.
    """

    per_second: float | None = None
    burst: int | None = None


@dataclass(frozen=True, slots=True)
class KeyLine:
    """A key as it is kept: whose it is, its SHA-256 (32 bytes), and what its holder may ask.

    `was_plain`: the key itself stood there, which whoever reads the file then has.
    """

    name: str
    digest: bytes
    rate: Rate = Rate()
    was_plain: bool = False


def new_key(prefix: str = PREFIX) -> str:
    """A new key of 256 random bits."""
    return prefix + secrets.token_urlsafe(KEY_BYTES)


def check_name(name: str) -> None:
    """Raise KeysError where a name of keys has letters that none has."""
    if not NAME.fullmatch(name):
        raise KeysError(
            "is no name: use up to 64 letters, digits, dots, dashes and underscores of ASCII, the "
            "first a letter or a digit"
        )


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key (32 bytes)."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def line_of(name: str, key: str, options: str = "") -> str:
    """The line that lets `key` in."""
    return f"{name} sha256:{digest_of(key).hex()} {options}".rstrip()


def lines_in(content: bytes) -> list[KeyLine]:
    """The keys of a file's content; blank lines and those that begin with # do not count.

    Raises:
        KeysError: a line is none, or there is none at all.
    """
    numbered = []
    for number, line in enumerate(content.splitlines(), 1):
        text = line.strip()
        if text and not text.startswith(b"#"):
            # What is not ASCII is no key, and is found to be none.
            numbered.append((f"line {number}", text.decode("ascii", "replace")))
    if not numbered:
        raise KeysError(f"holds no key; {HOW}, or unset it to ask for none")
    return parsed(numbered)


def parsed(numbered: Iterable[tuple[str, str]]) -> list[KeyLine]:
    """Keys of lines, each given with the words that name its place.

    Raises:
        KeysError: a line is none, one key stands there twice, or one name has two rates.
    """
    keys: list[KeyLine] = []
    places: dict[bytes, str] = {}
    rates: dict[str, tuple[Rate, str]] = {}
    for place, text in numbered:
        key = _key_of(place, text)
        if key.digest in places:
            raise KeysError(f"{place} has the key of {places[key.digest]}; remove one of them")
        rate, first = rates.setdefault(key.name, (key.rate, place))
        if rate != key.rate:
            raise KeysError(
                f"{place} and {first} have one name and two rates; all keys of a name share one"
            )
        places[key.digest] = place
        keys.append(key)
    return keys


def _key_of(place: str, text: str) -> KeyLine:
    name, *rest = text.split() or [""]
    if not name:
        raise KeysError(f"{place} is empty, which would let everybody in; {HOW}")
    if not rest:
        if HASH.fullmatch(name):
            raise KeysError(f"{place} has a hash without a name; {HOW}")
        if not all(0x21 <= ord(letter) <= 0x7E for letter in name):
            raise KeysError(f"{place} is no key: it is not printable ASCII; {HOW}")
        return KeyLine(f"plain-{place.replace(' ', '-')}", digest_of(name), was_plain=True)
    found = HASH.fullmatch(rest[0])
    if found is None or not NAME.fullmatch(name):
        wrong = "its second word is no hash" if found is None else "its name has strange letters"
        raise KeysError(f"{place} is no key: {wrong}; {HOW}")
    return KeyLine(name, bytes.fromhex(found[1]), _rate_of(place, rest[1:]))


def _rate_of(place: str, options: list[str]) -> Rate:
    given: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name not in ("rate", "burst") or name in given:
            raise KeysError(f"{place} has an option that is none, or twice; there are rate, burst")
        given[name] = value
    try:
        per_second, burst = _rate(given.get("rate")), given.get("burst")
        if burst is None:
            return Rate(per_second)
        if not BURST.fullmatch(burst):
            raise ValueError
        return Rate(per_second, int(burst))
    except ValueError:
        raise KeysError(
            f"{place} has a wrong rate: write rate=REQUESTS_PER_SECOND, such as rate=100, or "
            f"rate={NO_LIMIT}; and burst=REQUESTS_AT_ONCE, a whole number from 1 to 999999999"
        ) from None


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    if text == NO_LIMIT:
        return math.inf
    # Not Python's floats, which may be 1_000 or 1e400.
    if not PER_SECOND.fullmatch(text) or not float(text):
        raise ValueError
    return float(text)

"""Keys, looked up in a time that tells neither which nor how many there are."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from service.keys.line import KeyLine, digest_of
from service.keys.rate import RateLimit, burst_of


@dataclass(frozen=True, slots=True)
class Key:
    """A key that opens; all keys of one name share one limit."""

    name: str
    digest: bytes
    limit: RateLimit | None


NOBODY = Key("", bytes(32), None)


class KeyRing:
    """Some keys, of which all can be changed at once; belongs to one thread.

    A key that comes is hashed, and its hash is hashed again with a secret of this process: where
    that finds an entry, or none, says nothing to who cannot know the secret. One entry is compared
    in constant time in either case, so that the time is the same for every key, right or wrong, and
    for every number of keys.
    """

    def __init__(self, default_per_second: float | None = None) -> None:
        self._default_per_second = default_per_second
        self._blind = secrets.token_bytes(32)
        self._keys: dict[bytes, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def names(self) -> set[str]:
        """Whose keys there are."""
        return {key.name for key in self._keys.values()}

    def find(self, token: str) -> Key | None:
        """The key that `token` is, if it is one."""
        digest = digest_of(token)
        key = self._keys.get(self._place(digest), NOBODY)
        return key if hmac.compare_digest(digest, key.digest) else None

    def has(self, digest: bytes) -> bool:
        """Whether the key of that SHA-256 is one of these."""
        return self._place(digest) in self._keys

    def replace(self, lines: Iterable[KeyLine]) -> None:
        """Have exactly these keys from now on; a name that keeps its rate keeps its bucket."""
        before = {key.name: key.limit for key in self._keys.values()}
        limits: dict[str, RateLimit | None] = {}
        keys = {}
        for line in lines:
            if line.name not in limits:
                limits[line.name] = self._limit(line, before.get(line.name))
            key = Key(line.name, line.digest, limits[line.name])
            keys[self._place(line.digest)] = key
        self._keys = keys

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._blind, digest_size=16).digest()

    def _limit(self, line: KeyLine, before: RateLimit | None) -> RateLimit | None:
        per_second = line.rate.per_second
        if per_second is None:
            per_second = self._default_per_second
        if per_second is None or math.isinf(per_second):
            return None
        burst = burst_of(per_second, line.rate.burst)
        if before is not None and (before.per_second, before.burst) == (per_second, burst):
            return before
        return RateLimit(per_second, burst)

"""Who may ask: the bearer token of a request against the keys, and how often its holder may."""

from __future__ import annotations

import math
from contextlib import AbstractAsyncContextManager

from fastapi import Request
from prometheus_client import Counter

from service.errors import RateLimited, Unauthorized
from service.keys.open import warn_where_open
from service.keys.ring import Key
from service.keys.store import KeyStore
from service.keys.watch import followed
from service.metrics import Metrics
from service.settings import Settings


class Access:
    """Lets requests in by the keys of the settings, and says what is wrong with those.

    Raises:
        ServeError: keys cannot be used.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._store = KeyStore(settings)
        self._callers = self._store.callers
        self._metrics = metrics
        self._counted: dict[str, tuple[Counter, Counter]] = {}
        warn_where_open(settings)
        for file in self._store.files:
            file.warn_of_plain()
        self._show()

    def following(self) -> AbstractAsyncContextManager[None]:
        """Take over what changes in files of keys for as long as the block runs."""
        return followed(self._store, self._show)

    def authorize(self, request: Request) -> None:
        """Check the bearer token, where keys are configured, and count it against its rate.

        Raises:
            Unauthorized: there is no token or it is none of the keys.
            RateLimited: its holder asks more often than it may.
        """
        if not len(self._callers):
            return
        key = self._callers.find(bearer_of(request))
        if key is None:
            raise Unauthorized("send a valid key as `Authorization: Bearer KEY`")
        accepted, limited = self._counters(key.name)
        wait_seconds = key.limit.wait_seconds() if key.limit is not None else 0.0
        if key.limit is not None and wait_seconds:
            limited.inc()
            raise _rate_limited(key, key.limit.per_second, wait_seconds)
        accepted.inc()

    def _show(self) -> None:
        """Have the metrics show how the files of keys are, and no names that are gone."""
        for file in self._store.files:
            self._metrics.key_file_fault.labels(file.setting).set(bool(file.fault))
        for name in self._counted.keys() - self._callers.names:
            del self._counted[name]
            for result in ("accepted", "limited"):
                self._metrics.key_requests.remove(name, result)

    def _counters(self, name: str) -> tuple[Counter, Counter]:
        # The client library looks labels up under a lock.
        counters = self._counted.get(name)
        if counters is None:
            labels = self._metrics.key_requests.labels
            counters = labels(name, "accepted"), labels(name, "limited")
            self._counted[name] = counters
        return counters


def bearer_of(request: Request) -> str:
    """The bearer token of a request; empty where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _rate_limited(key: Key, per_second: float, wait_seconds: float) -> RateLimited:
    return RateLimited(
        f"{key.name} may ask {per_second:g} times a second; try again in {wait_seconds:.2g} s",
        math.ceil(wait_seconds),
    )

"""Who may ask: the bearer token of a request against the keys, and how often its holder may."""

from __future__ import annotations

import base64
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
        self._managers = self._store.managers
        self._metrics = metrics
        self._counted: dict[str, tuple[Counter, Counter]] = {}
        self._closes_readiness = "readyz" in settings.closed_pages
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
        token = bearer_of(request)
        key = self._callers.find(token)
        if key is None:
            if self._managers.find(token) is not None:
                raise Unauthorized("a management key asks for no answers; send a caller's key")
            raise Unauthorized("send a valid key as `Authorization: Bearer KEY`")
        accepted, limited = self._counters(key.name)
        wait_seconds = key.limit.wait_seconds() if key.limit is not None else 0.0
        if key.limit is not None and wait_seconds:
            limited.inc()
            raise _rate_limited(key, key.limit.per_second, wait_seconds)
        accepted.inc()

    @property
    def can_manage(self) -> bool:
        """Whether there are keys that manage."""
        return len(self._managers) > 0

    def authorize_manager(self, request: Request, *, in_browser: bool = False) -> str:
        """The name of the key that manages which a request bears.

        With `in_browser` it may also come as the password of Basic authentication, which browsers
        ask people for.

        Raises:
            Unauthorized: there is none, or it is none of these keys.
        """
        token = bearer_of(request) or (password_of(request) if in_browser else "")
        key = self._managers.find(token)
        if key is not None:
            return key.name
        if self._callers.find(token) is not None:
            raise Unauthorized("that key is a caller's; this asks for a management key")
        raise Unauthorized("send a management key as `Authorization: Bearer KEY`")

    def tells_models(self, request: Request) -> bool:
        """Whether /readyz may say which models are not ready, and why."""
        if not self._closes_readiness:
            return True
        try:
            self.authorize_manager(request, in_browser=True)
        except Unauthorized:
            return False
        return True

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


def password_of(request: Request) -> str:
    """The password of Basic authentication; empty where there is none."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""


def _rate_limited(key: Key, per_second: float, wait_seconds: float) -> RateLimited:
    return RateLimited(
        f"{key.name} may ask {per_second:g} times a second; try again in {wait_seconds:.2g} s",
        math.ceil(wait_seconds),
    )

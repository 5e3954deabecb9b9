"""One line for a request that has ended. Never its texts, nor its key: only what is named here."""

from __future__ import annotations

import logging
from typing import Any

from service.call import Call
from service.errors import RequestError
from service.problems import problem_of
from service.settings import Settings

log = logging.getLogger("sub50.request")

MESSAGE = "%s %s %d in %.1f ms: %s, %s, %d tokens, request %s"


class RequestLog:
    """Logs requests as `log_requests` says: all, none, or those that came late or failed."""

    def __init__(self, settings: Settings) -> None:
        self._which = settings.log_requests
        self._promise_ms = settings.interactive_timeout_ms

    def add(
        self, call: Call, method: str, route: str, status: int, error: RequestError | None
    ) -> None:
        """Log a request whose answer is ready, or whose client is gone; `error` is why it failed.

        `route` is the path as it was declared, so that nothing of the client's stands in it.
        """
        if self._which == "none":
            return
        spent_ms = 1000 * call.elapsed_seconds()
        level = self._level(call, status, spent_ms)
        if (self._which == "all" or level > logging.INFO) and log.isEnabledFor(level):
            head = (method, route, status, spent_ms, call.model, call.request_class)
            fields = self._fields(call, error)
            named = dict(zip(("method", "route", "status", "duration_ms"), head, strict=False))
            named["duration_ms"] = round(spent_ms, 3)
            log.log(level, MESSAGE, *head, call.tokens, call.request_id, extra={**named, **fields})

    def _level(self, call: Call, status: int, spent_ms: float) -> int:
        if status >= 500:
            return logging.ERROR if status == 500 else logging.WARNING
        promised = call.request_class == "interactive" and status == 200
        return logging.WARNING if promised and spent_ms > self._promise_ms else logging.INFO

    def _fields(self, call: Call, error: RequestError | None) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "request_id": call.request_id,
            "model": call.model,
            "class": call.request_class,
            "tokens": call.tokens,
            "stages_ms": {
                stage: round(1000 * seconds, 3) for stage, seconds in call.stage_seconds.items()
            },
        }
        if call.trace is not None and call.trace.recorded:
            fields["trace_id"] = call.trace.trace_id
        if error is not None:
            fields["problem"] = problem_of(error).slug
            if reason := getattr(error, "reason", None):
                fields["reason"] = reason
        return fields

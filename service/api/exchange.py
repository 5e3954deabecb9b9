"""What every route that runs a model does around the pipeline: read, check, time, answer."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from service.api.access import Access
from service.api.body import (
    ReceivedBytes,
    announced_bytes,
    read_body,
    require_few_values,
    require_json,
)
from service.api.loop_lag import LoopLag
from service.api.presence import given_up_when_gone
from service.api.request_log import RequestLog
from service.call import Call
from service.errors import (
    ClientGone,
    DeadlineExceeded,
    FieldError,
    InvalidFields,
    MalformedBody,
    RateLimited,
    Refused,
    RequestError,
    Sub50Error,
)
from service.metrics import Metrics
from service.problems import MEDIA_TYPE, UNEXPECTED, body_of, headers_of, problem_of
from service.settings import Settings
from service.trace import RequestEnd, Tracing

RequestT = TypeVar("RequestT", bound=BaseModel)
Handler = Callable[[RequestT, Call], Awaitable[bytes]]

REQUEST_ID = "X-Request-ID"
TIMEOUT = "X-Request-Timeout-Ms"
# Longer or stranger ids would end up in logs and headers, so they are replaced by one of ours.
ACCEPTED_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
# A number as others read it; Python's own reading takes 1_000 and nan, too.
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


class Exchange:
    """Runs handlers under one set of settings and metrics."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        access: Access,
        refuse_early: Callable[[Call, int | None], None],
        lag: LoopLag,
        tracing: Tracing | None = None,
    ) -> None:
        self._settings = settings
        self.authorize = access.authorize
        self._refuse_early = refuse_early
        self._metrics = metrics
        self._lag = lag
        self._log = RequestLog(settings)
        self._received = ReceivedBytes(settings.max_received_bytes)
        self._tracing = tracing
        metrics.loop_lag.set_function(lambda: lag.seconds)

    async def answer(
        self,
        request: Request,
        route: str,
        schema: type[RequestT],
        handle: Handler[RequestT],
    ) -> Response:
        """Answer one request: `handle` returns the JSON body, a RequestError its problem."""
        call = Call(request_id_of(request))
        call.started -= self._lag.seconds
        if self._tracing is not None:
            call.trace = self._tracing.begin(
                request.method, route, request.headers, call.request_id, self._lag.seconds
            )
        status, failure = UNEXPECTED.status, None
        try:
            self.authorize(request)
            call.caller_timeout_ms = _caller_timeout_ms(request)
            self._refuse_early(call, announced_bytes(request))
            body = await read_body(request, self._settings.max_body_bytes, self._received)
            call.has_come(self._lag.seconds)
            require_json(request)
            require_few_values(body, self._settings.max_inputs)
            content = await self._handled(request, handle, parse(schema, body), call)
            status = 200
            headers = {REQUEST_ID: call.request_id, **_timing(call)}
            response = Response(content, headers=headers, media_type="application/json")
        except RequestError as error:
            response = problem_response(error, call.request_id, _timing(call))
            status, failure = response.status_code, error
            if isinstance(error, Refused):
                self._metrics.refused.labels(error.reason).inc()
            elif isinstance(error, RateLimited):
                # Not the promise's doing: alerts on refusals leave it out by its class.
                call.request_class = "limited"
        finally:
            self._observe(call, route, status)
            self._log.add(call, request.method, route, status, failure)
            if call.trace is not None:
                call.trace.end(_end_of(call, status, failure))
        return response

    async def _handled(
        self, request: Request, handle: Handler[RequestT], parsed: RequestT, call: Call
    ) -> bytes:
        """What `handle` returns, as long as there is a client to return it to."""
        try:
            with given_up_when_gone(request):
                return await handle(parsed, call)
        except ClientGone:
            if call.is_late:  # a broken promise, whoever gave up first
                raise DeadlineExceeded("the client left after the deadline") from None
            raise

    def _observe(self, call: Call, route: str, status: int) -> None:
        seconds = call.elapsed_seconds()
        series = self._metrics.request_series(route, call.model, call.request_class, status)
        if call.trace is not None and call.trace.recorded:
            series.observe(seconds, {"trace_id": call.trace.trace_id})
        else:
            series.observe(seconds)
        for stage, spent in call.stage_seconds.items():
            self._metrics.stage_series(stage).observe(spent)


def _end_of(call: Call, status: int, error: RequestError | None) -> RequestEnd:
    problem = problem_of(error).slug if error is not None else ""
    reason = getattr(error, "reason", "")
    return RequestEnd(status, call.model, call.request_class, call.tokens, problem, reason)


def _timing(call: Call) -> dict[str, str]:
    return {"Server-Timing": call.server_timing()}


def request_id_of(request: Request) -> str:
    """The caller's request id where it is a sane one, else a new one."""
    given = request.headers.get(REQUEST_ID, "")
    return given if ACCEPTED_REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


def _caller_timeout_ms(request: Request) -> float | None:
    text = request.headers.get(TIMEOUT)
    if text is None:
        return None
    value = float(text) if NUMBER.fullmatch(text) else -1.0
    if not 0 < value < float("inf"):
        message = f"must be a positive number of milliseconds, not {text[:40]!r}"
        raise InvalidFields([FieldError(f"header.{TIMEOUT}", message)])
    return value


def parse(schema: type[RequestT], body: bytes) -> RequestT:
    """Parse and check a JSON body.

    Raises:
        MalformedBody: it is not JSON.
        InvalidFields: a field is missing, unknown, or has a wrong type or value.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise _request_error(error) from None


def _request_error(error: ValidationError) -> Sub50Error:
    fields: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if item["type"] == "json_invalid":
            return MalformedBody(item["msg"])
        # A union reports each of its members; the client knows only the field.
        path = ".".join(str(part)[:100] for part in item["loc"] if not _is_union_member(part))
        fields.setdefault(path or "body", item["msg"])
    return InvalidFields([FieldError(path, message) for path, message in fields.items()])


def _is_union_member(part: int | str) -> bool:
    return isinstance(part, str) and (part == "str" or part.startswith("list["))


def problem_response(
    error: RequestError, request_id: str, headers: dict[str, str] | None = None
) -> Response:
    """The problem+json answer to an error, with more `headers` if need be."""
    return Response(
        json.dumps(body_of(error, request_id)),
        status_code=problem_of(error).status,
        headers={**headers_of(error), REQUEST_ID: request_id, **(headers or {})},
        media_type=MEDIA_TYPE,
    )

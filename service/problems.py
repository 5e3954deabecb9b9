"""One table: error to HTTP status, and the problem+json body of RFC 9457."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from service import errors

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """How an error looks to a client. `slug` names the kind of problem for programs."""

    status: int
    slug: str
    title: str


PROBLEMS: dict[type[errors.RequestError], Problem] = {
    errors.MalformedBody: Problem(400, "malformed-body", "The body is not valid JSON"),
    errors.MalformedRequest: Problem(400, "malformed-request", "This is not a valid request"),
    errors.Unauthorized: Problem(401, "unauthorized", "A valid API key is needed"),
    errors.RateLimited: Problem(429, "rate-limited", "The key is used more often than it may be"),
    errors.UnknownModel: Problem(404, "unknown-model", "No such model for this task"),
    errors.SlowRequest: Problem(408, "slow-request", "The request came too slowly"),
    errors.NotPromoted: Problem(409, "not-promoted", "The version before still serves"),
    errors.TooLarge: Problem(413, "too-large", "The request is over a limit"),
    errors.NotJson: Problem(415, "not-json", "The body has to be sent as JSON"),
    errors.InvalidFields: Problem(422, "invalid-fields", "A field is not valid"),
    errors.Refused: Problem(429, "over-budget", "It would not be answered in time"),
    errors.QueueFull: Problem(429, "queue-full", "It would not be answered in time"),
    errors.TooManyOfAddress: Problem(429, "too-many-of-address", "Too many connections"),
    errors.HeadersTooLarge: Problem(431, "headers-too-large", "The headers are over a limit"),
    errors.TooManyConnections: Problem(503, "too-many-connections", "Too many connections"),
    errors.Stopping: Problem(503, "stopping", "The service is being stopped"),
    errors.BackendError: Problem(503, "backend-error", "The model server failed"),
    errors.BackendUnavailable: Problem(503, "not-ready", "The model server is not ready"),
    # Never sent, since nobody is there; the status is what metrics show (as nginx has it).
    errors.ClientGone: Problem(499, "client-gone", "The client closed the connection"),
    errors.DeadlineExceeded: Problem(504, "deadline-passed", "The deadline has passed"),
}

UNEXPECTED = Problem(500, "unexpected", "Something went wrong on our side")


def problem_of(error: errors.RequestError) -> Problem:
    """The entry of the error's own class."""
    return PROBLEMS[type(error)]


def body_of(error: errors.RequestError, request_id: str) -> dict[str, Any]:
    """The problem's members; `errors` lists fields by dotted path where the request is at fault."""
    problem = problem_of(error)
    body: dict[str, Any] = {
        "type": f"urn:sub50:problem:{problem.slug}",
        "title": problem.title,
        "status": problem.status,
        "detail": str(error),
        "request_id": request_id,
    }
    if isinstance(error, errors.InvalidFields | errors.TooLarge):
        body["errors"] = [{"field": f.field, "message": f.message} for f in error.fields]
    if isinstance(error, errors.BackendUnavailable):
        body["retry_after_seconds"] = error.retry_after_seconds
    if isinstance(error, errors.Refused):
        body["reason"] = error.reason
        body["retry_after_seconds"] = error.retry_after_seconds
        if error.predicted_ms is not None and error.allowed_ms is not None:
            body["predicted_ms"] = round(error.predicted_ms, 1)
            body["allowed_ms"] = round(error.allowed_ms, 1)
    if isinstance(error, errors.RateLimited):
        body["retry_after_seconds"] = error.retry_after_seconds
    return body


def headers_of(error: errors.RequestError) -> dict[str, str]:
    """Headers that go with the body."""
    if isinstance(error, errors.Refused | errors.RateLimited | errors.BackendUnavailable):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.NotJson):
        return {"Accept-Post": "application/json", "Accept-Encoding": "identity"}
    if isinstance(error, errors.TooManyConnections):
        return {"Retry-After": "1"}
    if isinstance(error, errors.TooLarge | errors.SlowRequest):
        # The rest of the body is not read, so the connection cannot carry another request.
        return {"Connection": "close"}
    return {}

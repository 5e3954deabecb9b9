"""What can go wrong while serving, free of any transport.

    Sub50Error
    ├── ServeError             a process cannot start; the message says what to do next
    ├── PromotionError         another version cannot be served; the one before still is
    └── RequestError           one request cannot be answered
        ├── MalformedBody      the body is not JSON
        ├── MalformedRequest   what comes is no HTTP
        ├── HeadersTooLarge    headers are over their limits
        ├── SlowRequest        it does not come in time
        ├── TooManyConnections all places are taken by requests under way
        │   └── TooManyOfAddress   … those of the client's address
        ├── Unauthorized       no key or a wrong one
        ├── RateLimited        the holder of the key asks more often than it may
        ├── UnknownModel       no model of that name, or it does another task
        ├── TooLarge           the body, a text or the count of texts is over its limit
        ├── NotJson            the Content-Type says that the body is something else
        ├── InvalidFields      a field has a wrong type or value
        ├── NotPromoted        the version asked for cannot be served; the one before still is
        ├── Refused            it would be answered too late, so it is not begun
        │   └── QueueFull      Triton's queue is full or held it too long
        ├── DeadlineExceeded   begun, but not finished in time
        ├── ClientGone         the client closed the connection before its answer
        ├── Stopping           the service is being stopped before it could be finished
        └── BackendError       Triton cannot answer
            └── BackendUnavailable   … and is not reachable or not ready

`problems.py` gives each its HTTP status.
"""

from __future__ import annotations

from dataclasses import dataclass


class Sub50Error(Exception):
    """Base of everything below."""


class ServeError(Sub50Error):
    """A process cannot start. The message says what was found and what to do next."""


class PromotionError(Sub50Error):
    """A version cannot be served, or failed once it was; the one before it serves on."""


class RequestError(Sub50Error):
    """One request cannot be answered. The message is for the client to read."""


class MalformedBody(RequestError):
    """The body is not JSON."""


class MalformedRequest(RequestError):
    """What comes over the connection is not HTTP."""


class HeadersTooLarge(RequestError):
    """A request's first line and its headers are over a limit."""


class SlowRequest(RequestError):
    """A request's headers or its body did not come in time."""


class TooManyConnections(RequestError):
    """There is no room for another connection: each has a request under way."""


class TooManyOfAddress(TooManyConnections):
    """There is no room for another connection from the client's address."""


class Unauthorized(RequestError):
    """The Authorization header holds no key or a wrong one."""


class RateLimited(RequestError):
    """The holder of the key asks more often than it may; nothing was begun."""

    def __init__(self, message: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class UnknownModel(RequestError):
    """No model of that name does that task."""


class NotJson(RequestError):
    """The headers say that the body is something else than JSON in UTF-8."""


@dataclass(frozen=True)
class FieldError:
    """One field of the request and what is wrong with it; `field` is a dotted path."""

    field: str
    message: str


class TooLarge(RequestError):
    """Something is over its limit. `field` is the part that is, or "body"."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.fields = [FieldError(field, message)]


class InvalidFields(RequestError):
    """Fields with a wrong type or value, each by its path."""

    def __init__(self, fields: list[FieldError]) -> None:
        super().__init__("; ".join(f"{item.field}: {item.message}" for item in fields))
        self.fields = fields


class NotPromoted(RequestError):
    """The version asked for cannot be served, or failed once it was; the one before still is."""


class Refused(RequestError):
    """Not begun, because it would not be answered in time."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        retry_after_seconds: int = 1,
        predicted_ms: float | None = None,
        allowed_ms: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.predicted_ms = predicted_ms
        self.allowed_ms = allowed_ms


class QueueFull(Refused):
    """Triton's queue is full, or held the request longer than its time allows."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="queue")


class DeadlineExceeded(RequestError):
    """The time allowed for the request has passed."""


class ClientGone(RequestError):
    """The client closed the connection; nobody reads the answer."""


class Stopping(RequestError):
    """The service is being stopped, and the request took longer than it could wait."""


class BackendError(RequestError):
    """Triton failed to answer."""


class BackendUnavailable(BackendError):
    """Triton cannot be reached, or the model is not ready there.

    `asked`: the request had been given to Triton, or it was tried.
    """

    def __init__(self, message: str, *, retry_after_seconds: int = 1, asked: bool = True) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.asked = asked

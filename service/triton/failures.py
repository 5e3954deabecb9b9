"""Every way in which Triton can fail a call, and what the service's client is told."""

from __future__ import annotations

from grpc import StatusCode

from service.errors import (
    BackendError,
    BackendUnavailable,
    DeadlineExceeded,
    QueueFull,
    RequestError,
)

NOT_READY = "the model is not ready at Triton; try again in a moment"
UNREACHABLE = "Triton cannot be reached; try again in a moment"
FAILED = "Triton could not run the model; its log has the reason"
MISCONFIGURED = "Triton refused the request; model repository and service do not fit together"

# A gRPC status, words in Triton's message ("" fits all), our error and its message for the
# client. The first rule that fits counts; every status has a rule for all messages.
ERROR_RULES: list[tuple[StatusCode, str, type[RequestError], str]] = [
    (StatusCode.UNAVAILABLE, "maximum queue size", QueueFull, "the model's queue is full"),
    (StatusCode.UNAVAILABLE, "timeout expired", QueueFull, "too long in the model's queue"),
    (StatusCode.UNAVAILABLE, "protocol is restricted", BackendError, MISCONFIGURED),
    (StatusCode.UNAVAILABLE, "", BackendUnavailable, UNREACHABLE),
    (StatusCode.DEADLINE_EXCEEDED, "", DeadlineExceeded, "the model did not answer in time"),
    # A stub is the process that runs a model's Python backend; Triton never restarts one.
    (StatusCode.INTERNAL, "Stub process", BackendUnavailable, NOT_READY),
    (StatusCode.INTERNAL, "", BackendError, FAILED),
    (StatusCode.NOT_FOUND, "", BackendUnavailable, NOT_READY),
    (StatusCode.CANCELLED, "", BackendUnavailable, UNREACHABLE),
    (StatusCode.ABORTED, "", BackendUnavailable, UNREACHABLE),
    (StatusCode.UNKNOWN, "", BackendError, FAILED),
    (StatusCode.DATA_LOSS, "", BackendError, FAILED),
    (StatusCode.ALREADY_EXISTS, "", BackendError, FAILED),
    (StatusCode.RESOURCE_EXHAUSTED, "", BackendError, FAILED),
    (StatusCode.INVALID_ARGUMENT, "", BackendError, MISCONFIGURED),
    (StatusCode.OUT_OF_RANGE, "", BackendError, MISCONFIGURED),
    (StatusCode.FAILED_PRECONDITION, "", BackendError, MISCONFIGURED),
    (StatusCode.UNIMPLEMENTED, "", BackendError, MISCONFIGURED),
    (StatusCode.PERMISSION_DENIED, "", BackendError, MISCONFIGURED),
    (StatusCode.UNAUTHENTICATED, "", BackendError, MISCONFIGURED),
    (StatusCode.OK, "", BackendError, FAILED),  # never an error; here so that none is missing
]


def error_for(code: StatusCode, details: str) -> RequestError:
    """Our error for a failed call to Triton; its message is for the service's client."""
    for rule_code, words, error, message in ERROR_RULES:
        if code is rule_code and words in details:
            return error(message)
    raise AssertionError(f"no rule for {code}")

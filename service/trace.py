"""What the path of a request knows of tracing. Nothing here is OpenTelemetry's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

# gRPC metadata: names in lower case, and values.
Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class EngineAsked:
    """What a call to Triton asks, for its span."""

    target: str
    model: str
    version: str
    rows: int
    padded_tokens: int


@dataclass(frozen=True)
class RequestEnd:
    """How a request ended. `problem` is the kind of its error, "" where it has none."""

    status: int
    model: str
    request_class: str
    tokens: int
    problem: str
    reason: str


class Trace(Protocol):
    """The trace of one request. `trace_id` is 32 hexadecimal digits; `recorded`: it is sampled."""

    trace_id: str
    recorded: bool

    def begin_stage(self, name: str) -> None:
        """A stage begins; no other is under way."""

    def end_stage(self) -> None:
        """The stage under way is over."""

    def calling(
        self, others: Sequence[Trace], asked: EngineAsked
    ) -> AbstractContextManager[Metadata]:
        """A call to Triton for this request and the `others`, as long as the block runs.

        Gives what is sent along, so that Triton's own spans join these.
        """

    def end(self, how: RequestEnd) -> None:
        """The request is over."""


class Tracing(Protocol):
    """Begins traces."""

    def begin(
        self,
        method: str,
        route: str,
        headers: Mapping[str, str],
        request_id: str,
        waited_seconds: float,
    ) -> Trace:
        """A request began `waited_seconds` ago; its headers may say whose trace it is part of."""

"""Spans of requests, by OpenTelemetry (the extra `otel`). Imported only where tracing is on.

A request is a server span, its stages are children, and each call to Triton is a client span below
the `infer` stage of the first request in it, linked to those of the others.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, set_span_in_context

from service.trace import EngineAsked, Metadata, RequestEnd, Trace
from service.tracing_start import ENDPOINTS

METHOD = "inference.GRPCInferenceService/ModelInfer"
# Spans that wait are sent at the end for so long; a collector that is away keeps nobody.
CLOSE_SECONDS = 3.0
TELL_EVERY_SECONDS = 60.0
TOLD = "%s Spans are dropped; is the collector of OTEL_EXPORTER_OTLP_ENDPOINT there (%s)?"


class OtelTracing:
    """Begins traces, and has their spans handled by `processor`."""

    def __init__(self, processor: SpanProcessor) -> None:
        own = {"service.name": "sub50", "service.version": version("sub50")}
        # What the environment says of the resource counts more.
        resource = Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("sub50", own["service.version"])

    @classmethod
    def to_collector(cls) -> OtelTracing:
        """Tracing to the collector that the standard OTEL_… variables name, by OTLP over HTTP."""
        EXPORTER_LOG.addFilter(SELDOM)
        return cls(BatchSpanProcessor(trace_exporter.OTLPSpanExporter()))

    def begin(
        self,
        method: str,
        route: str,
        headers: Mapping[str, str],
        request_id: str,
        waited_seconds: float,
    ) -> OtelTrace:
        """See `Tracing`."""
        span = self._tracer.start_span(
            f"{method} {route}",
            context=propagate.extract(headers, Context()),
            kind=SpanKind.SERVER,
            attributes={
                "http.request.method": method,
                "http.route": route,
                # As it was declared: the path that was asked may hold anything.
                "url.path": route,
                "url.scheme": "http",
                "sub50.request_id": request_id,
            },
            start_time=time.time_ns() - round(1e9 * waited_seconds),
        )
        return OtelTrace(self, span)

    def span(self, name: str, parent: Span) -> Span:
        """A span for a stage, below `parent`."""
        return self._tracer.start_span(name, context=set_span_in_context(parent, Context()))

    def client_span(self, name: str, parent: Span, links: Sequence[Link]) -> Span:
        """A span for a call to Triton, below `parent`."""
        context = set_span_in_context(parent, Context())
        return self._tracer.start_span(name, context=context, kind=SpanKind.CLIENT, links=links)

    def close(self) -> None:
        """Send what waits, in bounded time."""
        closing = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)
        EXPORTER_LOG.removeFilter(SELDOM)


class OtelTrace:
    """One request's spans; see `Trace`."""

    def __init__(self, tracing: OtelTracing, span: Span) -> None:
        self._tracing = tracing
        self._span = span
        self._stage: Span | None = None
        self.recorded = span.is_recording()
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    @property
    def within(self) -> Span:
        """The span that what happens now is part of."""
        return self._stage or self._span

    def begin_stage(self, name: str) -> None:
        """See `Trace`."""
        if self.recorded:
            self._stage = self._tracing.span(name, self._span)

    def end_stage(self) -> None:
        """See `Trace`."""
        if self._stage is not None:
            self._stage.end()
            self._stage = None

    @contextmanager
    def calling(self, others: Sequence[Trace], asked: EngineAsked) -> Iterator[Metadata]:
        """See `Trace`."""
        spans = [other.within for other in others if isinstance(other, OtelTrace)]
        links = [Link(span.get_span_context()) for span in spans]
        span = self._tracing.client_span(METHOD, self.within, links)
        if span.is_recording():
            span.set_attributes(
                {
                    "rpc.system.name": "grpc",
                    "rpc.method": METHOD,
                    "server.address": asked.target,
                    "sub50.model": asked.model,
                    "sub50.version": asked.version,
                    "sub50.rows": asked.rows,
                    "sub50.padded_tokens": asked.padded_tokens,
                    "sub50.requests": 1 + len(others),
                }
            )
        carrier: dict[str, str] = {}
        propagate.inject(carrier, set_span_in_context(span, Context()))
        code = "OK"
        try:
            yield tuple(carrier.items())
        except BaseException as error:
            code = _grpc_code(error)
            if code != "CANCELLED":  # given up by us
                span.set_attribute("error.type", code)
                span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.set_attribute("rpc.response.status_code", code)
            span.end()

    def end(self, how: RequestEnd) -> None:
        """See `Trace`."""
        span = self._span
        if self.recorded:
            span.set_attributes(
                {
                    "http.response.status_code": how.status,
                    "sub50.model": how.model,
                    "sub50.class": how.request_class,
                    "sub50.tokens": how.tokens,
                }
            )
            if how.status >= 400:
                span.set_attribute("error.type", how.problem or str(how.status))
            if how.reason:
                span.set_attribute("sub50.refused", how.reason)
            if how.status >= 500:  # below, it is the client's doing, or what the promise is for
                span.set_status(Status(StatusCode.ERROR))
        span.end()


def endpoint() -> str:
    """Where spans go, as the environment has it, or OpenTelemetry's default."""
    named = (os.environ.get(name) for name in ENDPOINTS)
    return next((value for value in named if value), trace_exporter.DEFAULT_ENDPOINT)


def _grpc_code(error: BaseException) -> str:
    code = getattr(error.__cause__, "code", None)
    if callable(code):
        return str(code().name)
    return "UNKNOWN" if isinstance(error, Exception) else "CANCELLED"


class Seldom(logging.Filter):
    """Lets an error through once a minute, and says where the collector should be."""

    def __init__(self) -> None:
        super().__init__()
        self._told = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        now = time.monotonic()
        if record.levelno < logging.ERROR or now - self._told < TELL_EVERY_SECONDS:
            return False
        self._told = now
        record.msg, record.args = TOLD, (record.getMessage(), endpoint())
        return True


EXPORTER_LOG = logging.getLogger(trace_exporter.__name__)
SELDOM = Seldom()

"""Every metric, declared once on a given registry."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Edges in seconds, dense around the promise of 50 ms so that the share over it is exact.
REQUEST_EDGES_SECONDS = tuple(
    edge_ms / 1000
    for edge_ms in (
        *(1, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 40, 50),
        *(60, 75, 100, 150, 250, 500, 1000, 2500),
    )
)
STAGE_EDGES_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, *REQUEST_EDGES_SECONDS[1:])
PADDING_EDGES = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 3.0, 5.0, 8.0)


class Metrics:
    """The service's metrics, as attributes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._declare_requests(registry)
        self._declare_engines(registry)

    def _declare_requests(self, registry: CollectorRegistry) -> None:
        self.request_duration = Histogram(
            "sub50_request_duration_seconds",
            "Time from the parsed head of a request to its answer.",
            ("route", "model", "class", "status"),
            buckets=REQUEST_EDGES_SECONDS,
            registry=registry,
        )
        self.stage_duration = Histogram(
            "sub50_stage_duration_seconds",
            "Time of one stage of a request: admit, tokenize, infer, postprocess.",
            ("stage",),
            buckets=STAGE_EDGES_SECONDS,
            registry=registry,
        )
        self.refused = Counter(
            "sub50_refused_total",
            "Requests not begun because they would not be answered in time.",
            ("reason",),
            registry=registry,
        )
        self.inflight = Gauge(
            "sub50_inflight", "Requests admitted and unfinished.", registry=registry
        )
        self.inflight_tokens = Gauge(
            "sub50_inflight_tokens",
            "Estimated tokens admitted and unfinished.",
            registry=registry,
        )

    def _declare_engines(self, registry: CollectorRegistry) -> None:
        self.tokens = Counter(
            "sub50_tokens_total",
            "Tokens sent to Triton, without padding.",
            ("model",),
            registry=registry,
        )
        self.padding_ratio = Histogram(
            "sub50_padding_ratio",
            "Tokens of a Triton request with padding, over those without.",
            buckets=PADDING_EDGES,
            registry=registry,
        )
        self.engine_info = Gauge(
            "sub50_engine_info",
            "1 for every engine served.",
            ("model", "version", "precision", "backend", "sha256"),
            registry=registry,
        )

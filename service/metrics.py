"""Every metric, declared once on a given registry."""

from __future__ import annotations

import math
from contextlib import suppress

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
ERROR_EDGES_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 1.0)
CALL_ROWS_EDGES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
PADDING_EDGES = (1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.5, 1.75, 2.0, 3.0, 5.0, 8.0)


class Metrics:
    """The service's metrics, as attributes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        # The client library looks labels up under a lock, at each of several observations a
        # request; a plain dictionary does it at a tenth of the cost.
        self._request_series: dict[tuple[str, str, str, int], Histogram] = {}
        self._stage_series: dict[str, Histogram] = {}
        self._declare_requests(registry)
        self._declare_admission(registry)
        self._declare_engines(registry)
        self._declare_promotions(registry)
        self._declare_readiness(registry)
        self._declare_keys(registry)

    def request_series(self, route: str, model: str, request_class: str, status: int) -> Histogram:
        """The series of `sub50_request_duration_seconds` with these labels."""
        key = (route, model, request_class, status)
        series = self._request_series.get(key)
        if series is None:
            labels = (route, model, request_class, str(status))
            series = self._request_series[key] = self.request_duration.labels(*labels)
        return series

    def stage_series(self, stage: str) -> Histogram:
        """The series of `sub50_stage_duration_seconds` of one stage."""
        series = self._stage_series.get(stage)
        if series is None:
            series = self._stage_series[stage] = self.stage_duration.labels(stage)
        return series

    def all_request_series(self) -> list[tuple[tuple[str, str, str, int], Histogram]]:
        """The series of requests until now, with route, model, class and status of each."""
        return list(self._request_series.items())

    def all_stage_series(self) -> list[tuple[str, Histogram]]:
        """The series of stages until now, with the name of each."""
        return list(self._stage_series.items())

    def serve_engine(
        self, engine: tuple[str, str, str, str, str], before: tuple[str, ...] | None = None
    ) -> None:
        """Show an engine as served, and no longer the one before it.

        Both are the values of `sub50_engine_info`'s labels, in order.
        """
        if before is not None and before != engine:
            with suppress(KeyError):
                self.engine_info.remove(*before)
        self.engine_info.labels(*engine).set(1)

    def _declare_requests(self, registry: CollectorRegistry) -> None:
        self.request_duration = Histogram(
            "sub50_request_duration_seconds",
            "Time from a request that has wholly come to its answer.",
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
        self.connections = Gauge(
            "sub50_connections", "Open connections of clients.", registry=registry
        )
        self.connections_cut = Counter(
            "sub50_connections_cut_total",
            "Connections refused or ended, by the limit that they broke.",
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

    def _declare_admission(self, registry: CollectorRegistry) -> None:
        self.cost_overhead = Gauge(
            "sub50_cost_overhead_seconds",
            "Fitted line of an engine call: time whatever it carries.",
            ("model",),
            registry=registry,
        )
        self.cost_per_token = Gauge(
            "sub50_cost_per_token_seconds",
            "Fitted line of an engine call: time for each token.",
            ("model",),
            registry=registry,
        )
        self.backlog = Gauge(
            "sub50_backlog_seconds",
            "Predicted time until all interactive work now admitted is through.",
            registry=registry,
        )
        self.margin = Gauge(
            "sub50_margin_seconds",
            "Kept free of every interactive deadline: the setting, or more where predictions "
            "fell short lately.",
            registry=registry,
        )
        self.loop_lag = Gauge(
            "sub50_loop_lag_seconds",
            "What a request has waited before the service sees it; counted as its time.",
            registry=registry,
        )
        self.prediction_error = Histogram(
            "sub50_prediction_error_seconds",
            "Predicted against actual time of interactive requests, by direction: later or "
            "earlier than predicted.",
            ("model", "direction"),
            buckets=ERROR_EDGES_SECONDS,
            registry=registry,
        )

    def _declare_engines(self, registry: CollectorRegistry) -> None:
        self.tokens = Counter(
            "sub50_tokens_total",
            "Tokens sent to Triton, without padding.",
            ("model",),
            registry=registry,
        )
        self.call_rows = Histogram(
            "sub50_call_rows",
            "Rows that travelled to Triton in one request.",
            buckets=CALL_ROWS_EDGES,
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

    def _declare_promotions(self, registry: CollectorRegistry) -> None:
        self.promotions = Counter(
            "sub50_promotions_total",
            "Attempts to serve another version: promoted, rolled_back, refused, or reverted "
            "because it failed once it was served.",
            ("model", "result"),
            registry=registry,
        )
        self.shadow_copies = Counter(
            "sub50_shadow_copies_total",
            "Copies of live calls for a candidate: compared, dropped while there were enough or "
            "because they were long, or failed by it.",
            ("model", "result"),
            registry=registry,
        )
        self.shadow_labels = Counter(
            "sub50_shadow_labels_total",
            "Labels that the served version was sure of, on copies: agreed, or changed by the "
            "candidate.",
            ("model", "result"),
            registry=registry,
        )

    def _declare_readiness(self, registry: CollectorRegistry) -> None:
        self.draining = Gauge(
            "sub50_draining", "1 while the service is being stopped, else 0.", registry=registry
        )
        self.triton_up = Gauge(
            "sub50_triton_up",
            "1 where Triton said that it lives when it was last asked, 0 where it did not; NaN "
            "before it was asked.",
            registry=registry,
        )
        self.triton_up.set(math.nan)  # a 0 would say that it is down
        self.engine_ready = Gauge(
            "sub50_engine_ready",
            "1 where the model answered an inference when it was last asked, 0 where it did not.",
            ("model",),
            registry=registry,
        )
        self.engine_stands_in = Gauge(
            "sub50_engine_stands_in",
            "1 where a model that was tuned to a GPU is served by its engine for processors, since "
            "the GPU could not be used when it was loaded; else 0.",
            ("model",),
            registry=registry,
        )
        self.triton_restarts = Counter(
            "sub50_triton_restarts_total",
            "Starts of the embedded Triton after the first, by why: triton_died, model_died, "
            "supervisor_died, hung, or start_failed before.",
            ("reason",),
            registry=registry,
        )

    def _declare_keys(self, registry: CollectorRegistry) -> None:
        self.key_requests = Counter(
            "sub50_key_requests_total",
            "Requests with a key, by its name: let in, or limited because it is used more often "
            "than it may be.",
            ("key", "result"),
            registry=registry,
        )
        self.key_file_fault = Gauge(
            "sub50_key_file_fault",
            "1 where a file of keys cannot be used as it is, so that the keys of before count.",
            ("setting",),
            registry=registry,
        )

"""The dashboard of engines and promotions: what serves, and what was tried."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    GREEN,
    OUR_MODELS,
    OURS,
    RED,
    Panel,
    Query,
    dashboard,
    graph,
    says,
    table,
    zero_where_none,
)
from deploy.grafana.promise import ANSWERED, PROMISE_STEPS, REQUESTS, quantile, rate

SILENT, MISSING = "Sub50EngineSilent", "Sub50EngineMissing"


def make() -> Dashboard:
    """The dashboard, ready to be written."""
    return dashboard(
        "sub50-engines",
        "sub50: engines and promotions",
        "Which versions serve, whether they answer, and what became of promotions.",
        ("job", "instance", "model"),
        [*_engines(), *_promotions(), *_process()],
    )


def _engines() -> list[Panel]:
    return [
        table(
            "Engines served",
            says(
                "One row for each model of each instance. Instances that serve other versions are "
                "in the middle of a promotion, or one was forgotten.",
                MISSING,
            ),
            f"sub50_engine_info{{{OUR_MODELS}}}",
        ),
        graph(
            "Engines that answer",
            says("0: the model did not answer when it was last asked.", SILENT, MISSING),
            "short",
            Query(f"min by (model) (sub50_engine_ready{{{OUR_MODELS}}})", "{{model}}"),
            steps=((None, RED), (1, GREEN)),
        ),
        graph(
            "Requests, by model",
            says("A model that is asked no more may have been forgotten by a deployment.", MISSING),
            "reqps",
            Query(rate(f"{REQUESTS}_count", OUR_MODELS, "model"), "{{model}}"),
            stacked=True,
        ),
    ]


def _promotions() -> list[Panel]:
    def counted(series: str) -> Query:
        # Not an increase: of a series that is new it has not the first event, which may be all.
        total = f"sum by (model, result) ({series}{{{OUR_MODELS}}})"
        return Query(zero_where_none(total), "{{model}} {{result}}")

    return [
        graph(
            "Promotions since the service started",
            "refused: the candidate did not hold, and the one before serves. reverted: it failed "
            "once it served; keep it back, and look at the log. See docs/promotion.md.",
            "short",
            counted("sub50_promotions_total"),
        ),
        graph(
            "P99 of interactive requests, by model",
            says(
                "After a promotion it should stand where it stood; else roll back.",
                "Sub50PromiseBurnsFast",
            ),
            "s",
            Query(quantile(0.99, REQUESTS, f"{OUR_MODELS},{ANSWERED}", "model"), "{{model}}"),
            steps=PROMISE_STEPS,
        ),
        graph(
            "Copies for candidates in the shadow",
            "Since the service started. dropped: there were enough, or they were long. failed: by "
            "the candidate, which will not be promoted.",
            "short",
            counted("sub50_shadow_copies_total"),
        ),
        graph(
            "Labels of candidates in the shadow",
            "Since the service started. changed: the served version was sure and the candidate "
            "says otherwise. Many: it was trained on other labels, or quantized too far.",
            "short",
            counted("sub50_shadow_labels_total"),
        ),
    ]


def _process() -> list[Panel]:
    return [
        graph(
            "Memory of the service",
            "Without Triton. It stands still after the first minutes; growth without end is a "
            "leak: report it, and start anew before the machine runs out.",
            "bytes",
            Query(f"process_resident_memory_bytes{{{OURS}}}", "{{instance}}"),
        ),
        graph(
            "Processor time and starts of the service",
            says("Near 1 core it is the event loop that requests wait for.", "Sub50Restarts"),
            "short",
            Query(rate("process_cpu_seconds_total", OURS, "instance"), "cores, {{instance}}"),
            Query(
                f"changes(process_start_time_seconds{{{OURS}}}[1h])", "starts in 1 h, {{instance}}"
            ),
        ),
    ]

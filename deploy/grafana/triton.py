"""The dashboard of Triton: its queue, its batches, how several share the work, and their GPUs."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana import gpu
from deploy.grafana.panels import (
    GREEN,
    OURS,
    RED,
    TRITON_MODELS,
    TRITONS,
    YELLOW,
    Panel,
    Query,
    dashboard,
    graph,
    number,
    says,
    zero_where_none,
)
from deploy.grafana.promise import rate

DOWN, SILENT = "Sub50TritonDown", "Sub50EngineSilent"
MICROSECONDS = 1_000_000


def make() -> Dashboard:
    """The dashboard, ready to be written."""
    return dashboard(
        "sub50-triton",
        "sub50: Triton's queue and batches",
        "What Triton itself counts, beside what the service sends it.",
        ("job", "instance", "triton", "model"),
        [*_numbers(), *_times(), *_batches(), *gpu.panels()],
    )


def mean_seconds(series: str) -> str:
    """Mean time for each request that was answered; Triton counts in microseconds."""
    spent = rate(series, TRITON_MODELS, "model")
    answered = rate("nv_inference_request_success", TRITON_MODELS, "model")
    return f"{spent} / {answered} / {MICROSECONDS}"


def _numbers() -> list[Panel]:
    return [
        number(
            "A Triton answers",
            says("1 while any does; 0: every request fails.", DOWN),
            "short",
            f"min(sub50_triton_up{{{OURS}}})",
            ((None, RED), (1, GREEN)),
            width=8,
        ),
        number(
            "Tritons up",
            says("Fewer than you run: the others do its work, if they can.", DOWN),
            "short",
            zero_where_none(f"count(up{{{TRITONS}}} == 1)"),
            ((None, RED), (1, GREEN)),
            width=8,
        ),
        number(
            "Failed at Triton in an hour",
            says("Its log has the reason; a model that fails alone may have to go back.", SILENT),
            "short",
            f"sum(increase(nv_inference_request_failure{{{TRITON_MODELS}}}[1h]))",
            ((None, GREEN), (1, YELLOW)),
            width=8,
        ),
    ]


def _times() -> list[Panel]:
    return [
        graph(
            "Mean wait in Triton's queue",
            says(
                "The service sends what Triton has room for, so this stays near a call's time. "
                "Beyond 10 ms: others ask this Triton too, or SUB50_ENGINE_LANES is too high.",
                "Sub50PredictionDrift",
            ),
            "s",
            Query(mean_seconds("nv_inference_queue_duration_us"), "{{model}}"),
            steps=((None, GREEN), (0.01, YELLOW), (0.05, RED)),
        ),
        graph(
            "Mean time in the engine",
            says(
                "It rises with longer texts, larger batches, and a busy machine.",
                "Sub50PredictionDrift",
            ),
            "s",
            Query(mean_seconds("nv_inference_compute_infer_duration_us"), "{{model}}"),
        ),
        graph(
            "Waiting at Triton",
            says("More than a few for long: the engine stands still.", SILENT),
            "short",
            Query(
                f"sum by (model) (nv_inference_pending_request_count{{{TRITON_MODELS}}})",
                "{{model}}",
            ),
        ),
        graph(
            "Share of each Triton",
            "With round robin all alike. One at zero is not in the name, or is not connected yet; "
            "see docs/scaling.md.",
            "percentunit",
            Query(
                f"{rate('nv_inference_count', TRITON_MODELS, 'instance')} / on () group_left () "
                + rate("nv_inference_count", TRITON_MODELS),
                "{{instance}}",
            ),
        ),
    ]


def _batches() -> list[Panel]:
    return [
        graph(
            "Rows of a run of the engine",
            "What travelled together, by Triton's count. 1 with little load; it grows with load, "
            "where an engine has one instance.",
            "short",
            Query(
                f"{rate('nv_inference_count', TRITON_MODELS, 'model')} / "
                + rate("nv_inference_exec_count", TRITON_MODELS, "model"),
                "{{model}}",
            ),
        ),
        graph(
            "Rows of a call of ours",
            "What the service put together before Triton saw it.",
            "short",
            Query(
                f"{rate('sub50_call_rows_sum', OURS)} / {rate('sub50_call_rows_count', OURS)}",
                "mean",
            ),
            Query(
                f"histogram_quantile(0.9, {rate('sub50_call_rows_bucket', OURS, 'le')})",
                "P90",
            ),
        ),
        graph(
            "Padding",
            "Tokens sent with padding over those without. The engines do not run it; it costs the "
            "way there. Over 2: texts of very unlike length share calls.",
            "short",
            Query(
                f"{rate('sub50_padding_ratio_sum', OURS)} / "
                + rate("sub50_padding_ratio_count", OURS),
                "mean",
            ),
        ),
        graph(
            "Rows and runs",
            says("Rows stand still while requests come: the model does not answer.", SILENT),
            "short",
            Query(rate("nv_inference_count", TRITON_MODELS, "model"), "rows, {{model}}"),
            Query(rate("nv_inference_exec_count", TRITON_MODELS, "model"), "runs, {{model}}"),
        ),
    ]

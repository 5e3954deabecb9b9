"""The dashboard of a request's stages: where its time goes, and what admission makes of it."""

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
)
from deploy.grafana.promise import ANSWERED, PROMISE_STEPS, REQUESTS, quantile, rate

STAGE = "sub50_stage_duration_seconds"
DRIFT = "Sub50PredictionDrift"
# Of a text of so many tokens; a sentence has 25 or so.
TOKENS = 25


def make() -> Dashboard:
    """The dashboard, ready to be written."""
    return dashboard(
        "sub50-stages",
        "sub50: a request's stages",
        "admit, tokenize, infer, postprocess: where time goes, and how well it is predicted.",
        ("job", "instance", "model"),
        [*_stages(), *_admission()],
    )


def _stages() -> list[Panel]:
    mean = f"{rate(f'{STAGE}_sum', OURS, 'stage')} / {rate(f'{STAGE}_count', OURS, 'stage')}"
    return [
        graph(
            "Mean time of each stage",
            says(
                "infer is Triton with its queue: go on to its dashboard. tokenize grows with the "
                "texts, and with a machine that is busy.",
                "Sub50PromiseBurnsFast",
            ),
            "s",
            Query(mean, "{{stage}}"),
            stacked=True,
        ),
        graph(
            "P99 of each stage",
            says("The stage that comes near 50 ms is the one to look at.", "Sub50PromiseBurnsFast"),
            "s",
            Query(quantile(0.99, STAGE, OURS, "stage"), "{{stage}}"),
            steps=PROMISE_STEPS,
        ),
        graph(
            "P99 of interactive requests, by model",
            says("One model alone: its engine or its texts. All: the machine.", DRIFT),
            "s",
            Query(quantile(0.99, REQUESTS, f"{OUR_MODELS},{ANSWERED}", "model"), "{{model}}"),
            steps=PROMISE_STEPS,
        ),
        graph(
            "Bulk requests: time",
            "Whole documents, which the promise does not cover. They wait for interactive ones: "
            "long times are no fault, unless callers say so.",
            "s",
            Query(quantile(0.5, REQUESTS, f'{OUR_MODELS},class="bulk",status="200"'), "P50"),
            Query(quantile(0.99, REQUESTS, f'{OUR_MODELS},class="bulk",status="200"'), "P99"),
        ),
        graph(
            "Wait for the event loop",
            "What a request waits before the service sees it. Some milliseconds: its process has "
            "too little processor; give it a core, or run fewer things beside it.",
            "s",
            Query(f"max by (instance) (sub50_loop_lag_seconds{{{OURS}}})", "{{instance}}"),
        ),
        graph(
            "Work under way",
            says("Admitted and unfinished. Growth without end: Triton hangs.", "Sub50TritonDown"),
            "short",
            Query(f"sum by (instance) (sub50_inflight{{{OURS}}})", "requests, {{instance}}"),
            Query(f"sum by (instance) (sub50_inflight_tokens{{{OURS}}})", "tokens, {{instance}}"),
        ),
    ]


def _admission() -> list[Panel]:
    return [
        graph(
            "Backlog and margin",
            says(
                "Refusals begin where the backlog and the margin together come to 50 ms. A margin "
                "that grew says that predictions fall short.",
                "Sub50RefusesMany",
                DRIFT,
            ),
            "s",
            Query(f"max by (instance) (sub50_backlog_seconds{{{OURS}}})", "backlog, {{instance}}"),
            Query(f"max by (instance) (sub50_margin_seconds{{{OURS}}})", "margin, {{instance}}"),
            steps=PROMISE_STEPS,
        ),
        graph(
            "Later than predicted",
            says("Mean of 30 minutes; below zero: earlier. Beyond 10 ms look for why.", DRIFT),
            "s",
            Query(
                'job_model:sub50_prediction_error_seconds:mean30m{job="$job",model=~"$model"}',
                "{{model}}",
            ),
            steps=((None, RED), (-0.01, GREEN), (0.01, RED)),
        ),
        graph(
            f"Predicted time of a call of {TOKENS} tokens",
            says(
                "The fitted line of an engine. It rises when the machine gets slower or is shared, "
                "and follows a promotion.",
                DRIFT,
            ),
            "s",
            Query(
                f"avg by (model) (sub50_cost_overhead_seconds{{{OUR_MODELS}}} + "
                f"{TOKENS} * sub50_cost_per_token_seconds{{{OUR_MODELS}}})",
                "{{model}}",
            ),
        ),
        graph(
            "Tokens",
            "Sent to Triton, without padding: the load as the engines have it. Requests alike and "
            "more tokens: texts got longer.",
            "short",
            Query(rate("sub50_tokens_total", OUR_MODELS, "model"), "{{model}} per second"),
        ),
    ]

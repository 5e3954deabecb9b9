"""The dashboard of the promise: the budget that is left, and how fast it goes."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.panels import (
    GREEN,
    OUR_MODELS,
    OURS,
    RED,
    YELLOW,
    Panel,
    Query,
    dashboard,
    graph,
    number,
    says,
    zero_where_none,
)

REQUESTS = "sub50_request_duration_seconds"
PROMISE_SECONDS = 0.05
# The part of requests that may miss it; as in deploy/prometheus/rules.
BUDGET = "0.01"
ACCEPTED = 'class="interactive",status=~"200|5.."'
ANSWERED = 'class="interactive",status="200"'
BURNS = ("Sub50PromiseBurnsFast", "Sub50PromiseBurnsSteadily", "Sub50PromiseBurnsSlowly")
REFUSES = ("Sub50RefusesMany", "Sub50RefusesSome")
PROMISE_STEPS = ((None, GREEN), (PROMISE_SECONDS, RED))


def rate(series: str, labels: str, by: str = "") -> str:
    """Per second, summed over what is not in `by`."""
    return f"sum by ({by}) (rate({series}{{{labels}}}[$__rate_interval]))"


def quantile(share: float, series: str, labels: str, by: str = "") -> str:
    """A quantile of a histogram, for each of `by`."""
    edges = f"le,{by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{series}_bucket', labels, edges)})"


def make() -> Dashboard:
    """The dashboard, ready to be written."""
    return dashboard(
        "sub50-promise",
        "sub50: the promise",
        "99 % of accepted interactive requests within 50 ms and not failed, over 30 days.",
        ("job", "instance", "model"),
        [*_numbers(), *_graphs()],
    )


def _numbers() -> list[Panel]:
    kept = f'{REQUESTS}_bucket{{job="$job",{ANSWERED},le="{PROMISE_SECONDS}"}}[30d]'
    accepted = f'{REQUESTS}_count{{job="$job",{ACCEPTED}}}[30d]'
    missed = f"(1 - sum(increase({kept})) / sum(increase({accepted})))"
    return [
        number(
            "Budget left of 30 days",
            says(
                "Of the 1 % of requests that may miss the promise in 30 days, the part that is "
                "left. Below 25 %, put off what is risky: promotions, new machines. Below zero, "
                "the promise is broken.",
                *BURNS,
            ),
            "percentunit",
            f"1 - {missed} / {BUDGET}",
            ((None, RED), (0, YELLOW), (0.25, GREEN)),
        ),
        number(
            "Kept in the last hour",
            says("Below 99 %, the budget shrinks: look at the stages.", *BURNS),
            "percentunit",
            '1 - job:sub50_promise_missed:ratio_rate1h{job="$job"}',
            ((None, RED), (0.99, GREEN)),
        ),
        number(
            "P99 of 5 minutes",
            says("Over 50 ms, look at the dashboard of the stages for which one.", BURNS[0]),
            "s",
            f"histogram_quantile(0.99, sum by (le) (rate({REQUESTS}_bucket"
            f"{{{OUR_MODELS},{ANSWERED}}}[5m])))",
            PROMISE_STEPS,
        ),
        number(
            "Refused in 30 minutes",
            says(
                "The share of interactive requests that got 429. Over 1 %, more capacity is "
                "needed, or something slows the engines.",
                *REFUSES,
            ),
            "percentunit",
            'job:sub50_refused:ratio_rate30m{job="$job"} '
            'or 0 * job:sub50_asked:increase30m{job="$job"}',
            ((None, GREEN), (0.01, YELLOW), (0.1, RED)),
        ),
        number(
            "Alerts that fire",
            "Each names its page in docs/runbooks. Begin with the one that explains the others.",
            "short",
            zero_where_none('count(ALERTS{alertname=~"Sub50.*",alertstate="firing"})'),
            ((None, GREEN), (1, RED)),
        ),
        number(
            "Instances up",
            says("Fewer than you run: one does not answer.", "Sub50Down", "Sub50Restarts"),
            "short",
            zero_where_none('count(up{job="$job"} == 1)'),
            ((None, RED), (1, GREEN)),
        ),
    ]


def _graphs() -> list[Panel]:
    missed = "job:sub50_promise_missed:ratio_rate"
    return [
        graph(
            "How fast the budget goes",
            says(
                "At 1, the budget of 30 days lasts 30 days. Over 14.4 in an hour or over 6 in six "
                "hours somebody is paged; over 1 in three days there is a ticket.",
                *BURNS,
            ),
            "short",
            *(
                Query(f'{missed}{window}{{job="$job"}} / {BUDGET}', window)
                for window in ("5m", "1h", "6h", "3d")
            ),
            steps=((None, GREEN), (1, YELLOW), (6, "orange"), (14.4, RED)),
        ),
        graph(
            "Time of interactive requests that were answered",
            says("P99 near 50 ms: refusals come next. P50 too: the machine is slow.", BURNS[0]),
            "s",
            Query(quantile(0.5, REQUESTS, f"{OUR_MODELS},{ANSWERED}"), "P50"),
            Query(quantile(0.99, REQUESTS, f"{OUR_MODELS},{ANSWERED}"), "P99"),
            steps=PROMISE_STEPS,
        ),
        graph(
            "Interactive requests",
            says("By status. 429 is a refusal, 5xx a failure, 499 a client that left.", *REFUSES),
            "reqps",
            Query(
                rate(f"{REQUESTS}_count", f'{OUR_MODELS},class="interactive"', "status"),
                "{{status}}",
            ),
            stacked=True,
        ),
        graph(
            "What missed the promise",
            says("Late: answered after 50 ms. Failed: look at Triton and its log.", *BURNS),
            "reqps",
            Query(
                f"{rate(f'{REQUESTS}_count', f'{OUR_MODELS},{ANSWERED}')} - "
                + rate(f"{REQUESTS}_bucket", f'{OUR_MODELS},{ANSWERED},le="{PROMISE_SECONDS}"'),
                "late",
            ),
            Query(
                zero_where_none(
                    rate(f"{REQUESTS}_count", f'{OUR_MODELS},class="interactive",status=~"5.."')
                ),
                "failed",
            ),
            stacked=True,
        ),
        graph(
            "Refused, by reason",
            says(
                "predicted: too much work. late: predictions fall short. inflight_tokens: bulk "
                "work fills the service. queue: Triton itself is full.",
                *REFUSES,
            ),
            "reqps",
            Query(zero_where_none(rate("sub50_refused_total", OURS, "reason")), "{{reason}}"),
            stacked=True,
        ),
        graph(
            "Requests of each instance",
            says("Uneven: look at how load is shared out in front of them.", "Sub50Down"),
            "reqps",
            Query(rate(f"{REQUESTS}_count", OUR_MODELS, "instance"), "{{instance}}"),
        ),
    ]

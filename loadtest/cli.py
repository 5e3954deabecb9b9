"""`sub50 loadtest`: a verdict, a capacity, or what happens beyond it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from loadtest.errors import LoadTestError, WrongPlan
from loadtest.generate import require_locust
from loadtest.kinds import KINDS, SCENARIOS
from loadtest.plan import Plan
from loadtest.stack import running_service, sigterm_exits
from loadtest.steal import Steal
from loadtest.summary import summary_table

loadtest_app = typer.Typer(
    help="Open-loop load on a running service, with a verdict.", no_args_is_help=True
)
stderr = Console(stderr=True)

DEFAULTS = Plan()
USAGE_ERROR = 2
# Where a field of a plan comes from an option of another name.
OPTIONS = {
    "rate_per_second": "--rate",
    "duration_seconds": "--duration",
    "warm_up_seconds": "--warm-up",
    "budget_ms": "--budget-ms",
    "timeout_ms": "--timeout-ms",
}

Host = Annotated[str, typer.Option(help="URL of the service.", envvar="SUB50_URL")]
Serve = Annotated[
    bool, typer.Option("--serve", help="Start `sub50 serve` for the test, instead of --host.")
]
Rate = Annotated[float, typer.Option(help="Requests per second, on average.")]
Duration = Annotated[float, typer.Option(help="Seconds that are judged.")]
WarmUp = Annotated[float, typer.Option(help="Seconds before those, at the same rate.")]
Scenario = Annotated[str, typer.Option(help=f"Mix of texts: {', '.join(SCENARIOS)}.")]
Texts = Annotated[
    str | None, typer.Option(help=f"Texts of one kind, instead of the mix: {', '.join(KINDS)}.")
]
BudgetMs = Annotated[float, typer.Option(help="Promised latency of interactive requests.")]
TimeoutMs = Annotated[float, typer.Option(help="How long a client waits for its answer.")]
Seed = Annotated[int, typer.Option(help="Of the schedule and the texts.")]
Report = Annotated[Path, typer.Option(help="Folder for the report, the records and the logs.")]
AsJson = Annotated[bool, typer.Option("--json", help="The result as JSON on standard output.")]


@loadtest_app.command()
def verdict(
    host: Host = DEFAULTS.host,
    serve: Serve = False,
    rate: Rate = DEFAULTS.rate_per_second,
    duration: Duration = DEFAULTS.duration_seconds,
    warm_up: WarmUp = DEFAULTS.warm_up_seconds,
    scenario: Scenario = DEFAULTS.scenario,
    texts: Texts = None,
    budget_ms: BudgetMs = DEFAULTS.budget_ms,
    timeout_ms: TimeoutMs = DEFAULTS.timeout_ms,
    seed: Seed = DEFAULTS.seed,
    report: Report = Path("build/loadtest"),
    as_json: AsJson = False,
) -> None:
    """Say whether P99 is under the budget at a rate.

    The last line of standard output is the verdict; the exit status is 0 PASS, 1 FAIL, 3 INVALID
    (the generator was too slow), 4 INCONCLUSIVE (too few requests), 2 for errors.
    """
    plan = _plan(host, rate, duration, warm_up, scenario, texts, budget_ms, timeout_ms, seed)
    with _errors_shown(), _host_of(plan, serve, report) as plan:
        from loadtest.generate import generate
        from loadtest.histogram import save_histogram
        from loadtest.report import machine_settings, write_report
        from loadtest.server_view import compare, read_counts
        from loadtest.verdict import judge

        stderr.print(f"{plan.rate_per_second:g} requests/s for {plan.total_seconds:g} s …")
        counts = read_counts(plan.host, plan.budget_ms)
        steal = Steal()
        records = generate(plan, report)
        lost, warning = steal.shown(), steal.warning()
        seen = compare(counts, read_counts(plan.host, plan.budget_ms), records, plan.budget_ms)
        judged = judge(records, plan)
        measured = records.measured(plan.warm_up_seconds)
        save_histogram(measured, report)
        settings = {**machine_settings(), "processor time lost to neighbours": lost}
        settings |= {"server": seen.line()} if seen else {}
        page = write_report(report, plan, records, judged, settings)
    stderr.print(summary_table(measured, plan.budget_ms))
    for reason in [*judged.reasons, seen.line() if seen else None, warning]:
        _tell(reason)
    _tell(f"report: {page}")
    typer.echo(json.dumps(judged.as_dict(), indent=2) if as_json else judged.line())
    raise typer.Exit(judged.exit_code)


@loadtest_app.command()
def capacity(
    host: Host = DEFAULTS.host,
    serve: Serve = False,
    start_rate: Annotated[float, typer.Option(help="Requests per second to begin with.")] = 50.0,
    precision: Annotated[float, typer.Option(help="Stop when known this well.")] = 0.05,
    duration: Duration = 20.0,
    warm_up: WarmUp = 3.0,
    scenario: Scenario = DEFAULTS.scenario,
    texts: Texts = None,
    budget_ms: BudgetMs = DEFAULTS.budget_ms,
    timeout_ms: TimeoutMs = DEFAULTS.timeout_ms,
    seed: Seed = DEFAULTS.seed,
    report: Report = Path("build/capacity"),
    as_json: AsJson = False,
) -> None:
    """Find the highest rate at which P99 is under the budget.

    The exit status is 0 when one was found, 1 when none holds, 3 when the generator was the limit.
    """
    _require_rate("--start-rate", start_rate)
    plan = _plan(host, start_rate, duration, warm_up, scenario, texts, budget_ms, timeout_ms, seed)
    with _errors_shown(), _host_of(plan, serve, report) as plan:
        from loadtest.capacity import capacity_table

        steal = Steal()
        found = _find_capacity(plan, report, precision)
        stderr.print(capacity_table(found))
        _tell(steal.warning())
    result = {**plan.asked(), **found.as_dict()}
    typer.echo(json.dumps(result, indent=2) if as_json else found.line())
    raise typer.Exit(found.exit_code)


@loadtest_app.command()
def overload(
    host: Host = DEFAULTS.host,
    serve: Serve = False,
    capacity_rate: Annotated[
        float | None, typer.Option("--capacity", help="Requests per second; found when not given.")
    ] = None,
    duration: Duration = 20.0,
    warm_up: WarmUp = 3.0,
    scenario: Scenario = DEFAULTS.scenario,
    texts: Texts = None,
    budget_ms: BudgetMs = DEFAULTS.budget_ms,
    timeout_ms: TimeoutMs = DEFAULTS.timeout_ms,
    seed: Seed = DEFAULTS.seed,
    report: Report = Path("build/overload"),
    as_json: AsJson = False,
) -> None:
    """Offer once, twice and three times the capacity, and see what is accepted and refused.

    The exit status is 0 when the promise holds for what was accepted, 1 when not, 3 when the
    generator was the limit.
    """
    rate = DEFAULTS.rate_per_second if capacity_rate is None else capacity_rate
    _require_rate("--capacity", rate)
    plan = _plan(host, rate, duration, warm_up, scenario, texts, budget_ms, timeout_ms, seed)
    with _errors_shown(), _host_of(plan, serve, report) as plan:
        from loadtest.overload import overload_table, run_overload
        from loadtest.probes import probe

        if capacity_rate is None:
            found = _find_capacity(plan, report / "capacity", precision=0.05)
            if found.exit_code:
                typer.echo(found.line())
                raise typer.Exit(found.exit_code)
            capacity_rate = found.rate_per_second
        steal = Steal()
        seen = run_overload(
            probe(plan, report),
            capacity_rate,
            budget_ms=budget_ms,
            on_step=lambda step: stderr.print(f"offered {step.factor:g} times the capacity"),
        )
        stderr.print(overload_table(seen))
        _tell(steal.warning())
    typer.echo(json.dumps(seen.as_dict(), indent=2) if as_json else seen.line())
    raise typer.Exit(seen.exit_code)


def _tell(line: str | None) -> None:
    """A line for people, as it is; none for None."""
    if line is not None:
        stderr.print(line, markup=False, highlight=False, soft_wrap=True)


def _find_capacity(plan: Plan, report: Path, precision: float) -> Any:
    from loadtest.capacity import find_capacity
    from loadtest.probes import probe

    run = probe(plan, report)
    return find_capacity(
        lambda rate: run(rate)[1],
        plan.rate_per_second,
        precision,
        on_probe=lambda seen: stderr.print(seen.line(), markup=False, highlight=False),
    )


def _require_rate(option: str, rate: float) -> None:
    if rate <= 0:
        raise typer.BadParameter(f"{rate} is not over 0", param_hint=option)


def _plan(
    host: str,
    rate: float,
    duration: float,
    warm_up: float,
    scenario: str,
    texts: str | None,
    budget_ms: float,
    timeout_ms: float,
    seed: int,
) -> Plan:
    with _errors_shown():
        return Plan(
            host=host,
            rate_per_second=rate,
            duration_seconds=duration,
            warm_up_seconds=warm_up,
            scenario=scenario,
            texts=texts,
            budget_ms=budget_ms,
            timeout_ms=timeout_ms,
            seed=seed,
        )


@contextmanager
def _host_of(plan: Plan, serve: bool, report: Path) -> Iterator[Plan]:
    """The plan with the host that it is for: a service of its own where `serve` asks for one."""
    # First of all: the modules imported later need what comes with it.
    require_locust()
    with sigterm_exits():
        if not serve:
            yield plan
            return
        stderr.print("starting `sub50 serve` …")
        with running_service(report) as url:
            yield replace(plan, host=url)


@contextmanager
def _errors_shown() -> Iterator[None]:
    """Print what went wrong for people, name the option where one is to blame, and exit with 2."""
    try:
        yield
    except LoadTestError as error:
        line = f"error: {error}"
        if isinstance(error, WrongPlan):
            option = OPTIONS.get(error.field, f"--{error.field.replace('_', '-')}")
            line = f"error: {option} {error.message}"
        stderr.print(line, style="bold red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(USAGE_ERROR) from None

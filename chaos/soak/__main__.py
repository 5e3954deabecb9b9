"""`python -m chaos.soak`: load a service for hours, and say whether anything grew or slowed."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos.errors import ChaosError
from chaos.soak.footprint import Watch
from chaos.soak.judge import MOST_MEMORY_GROWTH, Findings, judge_soak
from chaos.soak.report import lines_of, markdown, write_soak
from chaos.stack import ROOT, Stack
from chaos.table import write_section
from loadtest.capacity import Probe, find_capacity
from loadtest.errors import LoadTestError
from loadtest.generate import generate
from loadtest.plan import Plan
from loadtest.probes import probe
from loadtest.records import Records
from loadtest.stack import sigterm_exits

RELIABILITY = ROOT / "RELIABILITY.md"
SECTION = "soak"
# Long clauses are refused at any rate on a small machine: it has no capacity for a mix with them.
SCENARIO = "classify"
PROBE_SECONDS = 20.0
PROBE_WARM_UP_SECONDS = 3.0
# Engines, arenas and the cost line settle; what is judged begins after it, and warms up further.
WARM_UP_SECONDS = 5.0
LEAST_LOOKS = 16
console = Console(stderr=True, highlight=False)


def main(
    seconds: Annotated[float, typer.Option(min=20, help="Length of the load.")] = 3600.0,
    share: Annotated[float, typer.Option(min=0.01, max=1, help="Of the capacity.")] = 0.7,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Requests a second, instead of a share.")
    ] = None,
    scenario: Annotated[str, typer.Option(help="What is sent, see `sub50 loadtest`.")] = SCENARIO,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 10.0,
    growth: Annotated[
        float, typer.Option(help="Share that memory may grow by in the last three quarters.")
    ] = MOST_MEMORY_GROWTH,
    report: Annotated[Path, typer.Option(help="Folder of the report.")] = Path("build/soak"),
    write: Annotated[bool, typer.Option("--write", help="Write RELIABILITY.md.")] = False,
) -> None:
    """Load a service of the project's own engines. The exit status is 0 where it held, else 1."""
    every = min(every, seconds / LEAST_LOOKS)
    report.mkdir(parents=True, exist_ok=True)
    try:
        with sigterm_exits(), tempfile.TemporaryDirectory(prefix="soak-") as folder:
            stack = Stack(Path(folder))
            try:
                stack.start()
                chosen = rate or share * _capacity(stack, scenario, report)
                plan = Plan(stack.url, round(chosen, 1), seconds, WARM_UP_SECONDS, scenario)
                command = (
                    f"python -m chaos.soak --seconds {seconds:g} --rate {plan.rate_per_second:g} "
                    f"--scenario {scenario}"
                )
                found = _soak(stack, plan, every, growth, report, command)
            finally:
                stack.stop()
    except (ChaosError, LoadTestError) as error:
        console.print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(2) from None
    for name, value in lines_of(found):
        typer.echo(f"{name:28} {value}")
    console.print(f"report: {report}", markup=False)
    if write:
        today = datetime.now(UTC).date().isoformat()
        write_section(RELIABILITY, SECTION, f"{today}, `{command}`:\n\n{markdown(found)}")
    raise typer.Exit(0 if found.held else 1)


def _capacity(stack: Stack, scenario: str, report: Path) -> float:
    """The highest rate that the service carries, in requests a second.

    Raises:
        ChaosError: none was found.
    """
    plan = Plan(stack.url, 40.0, PROBE_SECONDS, PROBE_WARM_UP_SECONDS, scenario)
    run = probe(plan, report / "capacity")

    def show(seen: Probe) -> None:
        console.print(seen.line(), markup=False)

    found = find_capacity(lambda rate: run(rate)[1], plan.rate_per_second, on_probe=show)
    if found.exit_code:
        raise ChaosError(f"no capacity to take a share of: {found.line()}; give --rate")
    return found.rate_per_second


def _soak(
    stack: Stack, plan: Plan, every: float, growth: float, report: Path, command: str
) -> Findings:
    console.print(f"{plan.rate_per_second:g} requests/s for {plan.duration_seconds:g} s …")
    with Watch(stack, every) as watch:
        records: Records = generate(plan, report)
    if watch.error is not None:
        raise watch.error
    # The generator's own start came before the first request, its warm-up after.
    looks = [look for look in watch.looks if look.seconds <= plan.total_seconds]
    measured = records.measured(plan.warm_up_seconds)
    found = judge_soak(looks, measured, plan.duration_seconds, growth)
    write_soak(report, looks, measured, found, command)
    return found


if __name__ == "__main__":
    typer.run(main)

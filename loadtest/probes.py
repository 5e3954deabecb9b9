"""One run of a plan at a given rate, for the searches that need many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from loadtest.generate import generate
from loadtest.plan import Plan
from loadtest.records import Records
from loadtest.report import write_report
from loadtest.verdict import Verdict, judge


def probe(plan: Plan, folder: Path) -> Callable[[float], tuple[Records, Verdict]]:
    """A callable that offers `plan` at a rate in requests per second and judges it.

    Each run has a folder of its own below `folder`, with its report, and a seed of its own, so that
    repeating a run does not repeat its accidents. The records come without the warm-up.
    """
    numbers = count(1)

    def run(rate_per_second: float) -> tuple[Records, Verdict]:
        number = next(numbers)
        run_plan = replace(plan, rate_per_second=rate_per_second, seed=plan.seed + number - 1)
        run_folder = folder / f"run-{number:02d}-{rate_per_second:.0f}-per-second"
        run_folder.mkdir(parents=True, exist_ok=True)
        records = generate(run_plan, run_folder)
        verdict = judge(records, run_plan)
        write_report(run_folder, run_plan, records, verdict)
        return records.measured(plan.warm_up_seconds), verdict

    return run

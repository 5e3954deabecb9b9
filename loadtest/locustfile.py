"""The load generator under Locust, with its web page: `locust -f loadtest/locustfile.py`.

Locust's users wait for an answer before they send again: when the service stalls, so do they, and
the tail is never seen. So one user runs the whole open loop, and Locust shows what became of it.
"""

from __future__ import annotations

import argparse
import logging
import math
from pathlib import Path
from typing import Any

import gevent
import locust.stats
from locust import User, constant, events, task
from locust.env import Environment
from locust.exception import StopUser

from loadtest.connections import Address, Connections
from loadtest.dispatcher import Dispatcher
from loadtest.errors import LoadTestError
from loadtest.generate import RECORDS_FILE
from loadtest.kinds import KINDS, SCENARIOS
from loadtest.plan import Plan
from loadtest.records import Records
from loadtest.verdict import judge
from loadtest.workload import make_workload

# A plan for the options that were not given.
DEFAULTS = Plan()
logger = logging.getLogger("sub50.loadtest")


def three_digits(latency_ms: float) -> float:
    """Round to three significant digits, as HDR histograms do: 50.4 stays what it is.

    Locust keeps two digits, which makes 50 of it. Exact values would be a key each in the tables
    that it sorts every two seconds; they are in the records.
    """
    if latency_ms <= 0:
        return 0.0
    return round(latency_ms, 2 - math.floor(math.log10(latency_ms)))


locust.stats.bucket_response_time = three_digits  # type: ignore[assignment]


def add_options(parser: Any) -> None:
    """The options beside Locust's own; all but the first are fields of its web page too."""
    parser.add_argument("--plan", type=Path, include_in_web_ui=False, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, default=DEFAULTS.rate_per_second, help="Requests/s.")
    parser.add_argument(
        "--duration", type=float, default=DEFAULTS.duration_seconds, help="Judged seconds."
    )
    parser.add_argument(
        "--warm-up", type=float, default=DEFAULTS.warm_up_seconds, help="Seconds before those."
    )
    parser.add_argument(
        "--scenario", choices=list(SCENARIOS), default=DEFAULTS.scenario, help="Mix of texts."
    )
    parser.add_argument(
        "--texts", choices=["", *KINDS], default="", help="Texts of one kind instead of the mix."
    )
    parser.add_argument(
        "--budget-ms", type=float, default=DEFAULTS.budget_ms, help="Promised latency."
    )
    parser.add_argument("--seed", type=int, default=DEFAULTS.seed, help="Of schedule and texts.")


events.init_command_line_parser.add_listener(add_options)  # type: ignore[no-untyped-call]


def plan_of(environment: Environment) -> Plan:
    """The plan that was handed over, or the one that the options make."""
    options: Any = environment.parsed_options
    if options.plan is not None:
        return Plan.from_json(options.plan.read_text(encoding="utf-8"))
    return Plan(
        host=environment.host or DEFAULTS.host,
        rate_per_second=options.rate,
        duration_seconds=options.duration,
        warm_up_seconds=options.warm_up,
        scenario=options.scenario,
        texts=options.texts or None,
        budget_ms=options.budget_ms,
        seed=options.seed,
    )


class OpenLoop(User):
    """The one user; its one task is the whole run."""

    fixed_count = 1
    wait_time = constant(0)

    @task
    def run_plan(self) -> None:
        """Carry the plan out, keep its records, and end the test."""
        try:
            plan = plan_of(self.environment)
            connections = Connections(Address.of(plan.host), plan.connections)
            # Locust's events cost processor time, and where a plan was handed over nobody watches.
            watched = self.environment.parsed_options.plan is None
            finished = self._finished if watched else None
            dispatcher = Dispatcher(make_workload(plan), connections, finished)
        except (LoadTestError, OSError) as error:
            logger.error("%s", error)
            self.environment.process_exit_code = 2
        else:
            try:
                dispatcher.run()
            finally:
                conclude(self.environment, plan, dispatcher.records())
        end(self.environment)
        raise StopUser

    def _finished(self, kind: str, latency_ms: float, problem: str | None) -> None:
        self.environment.events.request.fire(
            request_type="POST",
            name=kind,
            response_time=latency_ms,
            response_length=0,
            exception=problem,
            context={},
        )


def conclude(environment: Environment, plan: Plan, records: Records) -> None:
    """Save the records where a plan was handed over; judge them where not."""
    options: Any = environment.parsed_options
    if options.plan is not None:
        records.save(options.plan.parent / RECORDS_FILE)
        environment.process_exit_code = 0
        return
    verdict = judge(records, plan)
    environment.process_exit_code = verdict.exit_code
    for reason in verdict.reasons:
        logger.info("%s", reason)
    logger.info("%s", verdict.line())


def end(environment: Environment) -> None:
    """Leave Locust, or stop the test where its web page stays."""
    runner = environment.runner
    if runner is not None:
        # Both wait for this very user, so they cannot run in it.
        gevent.spawn(runner.stop if environment.web_ui else runner.quit)

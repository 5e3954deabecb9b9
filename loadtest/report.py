"""Write what came of a run as one HTML page that needs no server, script or network."""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from loadtest.kinds import BULK_KINDS
from loadtest.percentiles import percentile
from loadtest.plan import Plan
from loadtest.records import ERROR, OK, REFUSED, TIMEOUT, Records
from loadtest.verdict import Verdict

REPORT_FILE = "report.html"
PERCENTS = (50.0, 90.0, 99.0, 99.9)
COUNTS_HEADINGS = (
    *("kind", "offered", "in time", "late", "refused", "errors", "timeouts"),
    *(f"P{percent:g}" for percent in PERCENTS),
    "largest",
)
MEANINGS = {
    "PASS": "at 99 % confidence, the P99 is within the budget.",
    "FAIL": "at 99 % confidence, the P99 is over the budget.",
    "INVALID": "the load generator did not keep its schedule, so this says nothing of the service.",
    "INCONCLUSIVE": "too few requests to tell either way.",
}


def write_report(
    folder: Path,
    plan: Plan,
    records: Records,
    verdict: Verdict,
    settings: Mapping[str, str] | None = None,
) -> Path:
    """Write `report.html` into `folder` and return its path.

    Args:
        folder: where to; made if it is not there.
        records: of the whole run, warm-up included.
        settings: rows to show below the plan's; by default this machine and the time. Equal
            arguments give equal bytes.
    """
    # Imported here, because matplotlib takes a second that a verdict alone need not wait for.
    from loadtest.charts import latency_curve, timeline

    measured = records.measured(plan.warm_up_seconds)
    page = _template().render(
        plan=plan,
        verdict=verdict,
        meaning=MEANINGS[verdict.outcome],
        latency_curve=latency_curve(_interactive(measured), plan),
        timeline=timeline(_interactive(records), plan),
        counts_headings=COUNTS_HEADINGS,
        counts=counts_rows(measured, plan.budget_ms),
        statuses=_statuses(measured),
        settings={**plan_settings(plan), **(machine_settings() if settings is None else settings)},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT_FILE
    path.write_text(page, encoding="utf-8")
    return path


def counts_rows(measured: Records, budget_ms: float) -> list[list[str]]:
    """Counts by outcome and percentiles of answers in ms, a row for each kind that was offered."""
    rows = []
    for kind in measured.kinds:
        records = measured.of_kind(kind)
        if not len(records):
            continue
        answered_ms = records.latency_us[records.outcome == OK] / 1e3
        late = 0 if kind in BULK_KINDS else np.count_nonzero(answered_ms > budget_ms)
        outcomes = [np.count_nonzero(records.outcome == o) for o in (REFUSED, ERROR, TIMEOUT)]
        counts = [len(records), answered_ms.size - late, late, *outcomes]
        times_ms = [percentile(answered_ms, percent) for percent in (*PERCENTS, 100)]
        name = f"{kind} (bulk)" if kind in BULK_KINDS else kind
        rows.append([name, *(f"{count:,}" for count in counts), *map(_shown, times_ms)])
    return rows


def plan_settings(plan: Plan) -> dict[str, str]:
    """The plan, field by field, units after the values."""
    units = {"per_second": "requests/s", "seconds": "s", "ms": "ms"}
    shown = {}
    for field in fields(plan):
        value = getattr(plan, field.name)
        if value is None:
            continue
        name, unit = field.name, ""
        for suffix, said in units.items():
            if name.endswith(f"_{suffix}"):
                name, unit = name.removesuffix(f"_{suffix}"), f" {said}"
                break
        number = f"{value:g}" if isinstance(value, float) else str(value)
        shown[name.replace("_", " ")] = number + unit
    return shown


def machine_settings() -> dict[str, str]:
    """Where and when the load was generated, and with what."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    packages = [f"{name} {_version(name)}" for name in ("sub50", "locust", "numpy")]
    return {
        "written": now,
        "generated with": ", ".join([*packages, f"Python {platform.python_version()}"]),
        "generated on": f"{platform.system()} {platform.machine()}, {_processor()}, "
        f"{len(os.sched_getaffinity(0))} cores usable of {os.cpu_count()}",
    }


def _interactive(records: Records) -> Records:
    """What the budget covers; everything, if it covers nothing."""
    covered = ~records.is_kind(BULK_KINDS)
    return records.where(covered) if covered.any() else records


def _statuses(records: Records) -> str:
    """What failed, as "500 × 3, no answer × 2"."""
    failed = records.status[(records.outcome == ERROR) | (records.outcome == TIMEOUT)]
    counted = Counter(failed.tolist()).most_common()
    return ", ".join(f"{status or 'no answer'}\u00a0×\u00a0{count:,}" for status, count in counted)


def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _shown(value_ms: float) -> str:
    return "–" if math.isnan(value_ms) else f"{value_ms:,.1f}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"

"""Where the time of a request goes: processor time by process, and time by stage, at several rates.

    .venv/bin/python -m benchmarks.where_time_goes [--rates 20,100,200,300] [--seconds S]

Starts `sub50 serve`, offers an open loop, and divides by the requests sent. Processor time is what
the kernel charged to each process; the generator's is there because it runs on the same cores.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import tempfile
from collections import defaultdict
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from benchmarks.footprint import command_of, stack_processes
from loadtest.generate import generate
from loadtest.plan import Plan
from loadtest.stack import running_service, sigterm_exits

PARTS = {"tritonserver": "Triton", "triton_python_backend_stub": "backends", "sub50": "API"}
STAGES = ("admit", "tokenize", "infer", "postprocess")


def processor_seconds() -> dict[str, float]:
    """Processor time so far of a running `sub50 serve`, by part of the stack."""
    spent: dict[str, float] = defaultdict(float)
    for pid in stack_processes():
        names = {Path(word).name for word in command_of(pid)[:2]}
        for name in names & set(PARTS):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = int(fields[11]), int(fields[12])
            spent[PARTS[name]] += (user + system) / os.sysconf("SC_CLK_TCK")
    return dict(spent)


def sums(url: str) -> dict[str, tuple[float, float]]:
    """Sum and count of the histograms that are shown, by stage or name."""
    with urlopen(f"{url}/metrics", timeout=10) as response:  # noqa: S310
        text = response.read().decode()
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for family in text_string_to_metric_families(text):
        if family.name not in ("sub50_stage_duration_seconds", "sub50_call_rows"):
            continue
        for sample in family.samples:
            place = {"sum": 0, "count": 1}.get(re.sub(r".*_", "", sample.name))
            if place is not None:
                found[sample.labels.get("stage", "rows")][place] += sample.value
    return {name: (pair[0], pair[1]) for name, pair in found.items()}


def measure(url: str, rate: float, seconds: float, texts: str) -> dict[str, float]:
    """Milliseconds a request by part and by stage, rows a call, and the share that was refused."""
    plan = Plan(host=url, rate_per_second=rate, duration_seconds=seconds, texts=texts)
    before, sums_before = processor_seconds(), sums(url)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        records = generate(plan, Path(folder))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    after, sums_after = processor_seconds(), sums(url)
    sent = len(records)
    row = {part: 1000 * (after[part] - before[part]) / sent for part in before}
    generator = ended.ru_utime + ended.ru_stime - children.ru_utime - children.ru_stime
    row["generator"] = 1000 * generator / sent
    for name in (*STAGES, "rows"):
        total, count = (
            new - old
            for new, old in zip(sums_after[name], sums_before.get(name, (0.0, 0.0)), strict=True)
        )
        row[name] = total / count * (1 if name == "rows" else 1000)
    row["refused %"] = 100 * float((records.status == 429).mean())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", default="20,100,200,300")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--texts", default="sentence")
    arguments = parser.parse_args()
    rates = [float(rate) for rate in arguments.rates.split(",")]
    columns = []
    with (
        tempfile.TemporaryDirectory() as folder,
        sigterm_exits(),
        running_service(Path(folder)) as url,
    ):
        measure(url, rates[0], 3.0, arguments.texts)  # connections, caches, the fitted line
        for rate in rates:
            columns.append(measure(url, rate, arguments.seconds, arguments.texts))
    table = Table(title=f"ms a request, texts: {arguments.texts}", title_justify="left")
    table.add_column("")
    for rate in rates:
        table.add_column(f"{rate:g}/s", justify="right")
    for name in columns[0]:
        table.add_row(name, *(f"{column[name]:.2f}" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()

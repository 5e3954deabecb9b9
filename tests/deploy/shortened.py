"""The committed files with everything shorter, so that a test sees in a minute what takes hours.

Only times, addresses and the promise change: what is tested are the rules as they are.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.conftest import DEPLOY, RULES, load

# An hour becomes two minutes.
FACTOR = 30
UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION = r"(\d+)([smhd])"
# Long enough that a busy machine keeps it while nothing is wrong; an edge of the histogram.
PROMISE_SECONDS = 0.5


def shorter(duration: str) -> str:
    """A duration such as "5m", divided by FACTOR."""
    found = re.fullmatch(DURATION, duration)
    assert found, duration
    return f"{int(found[1]) * UNIT_MS[found[2]] // FACTOR}ms"


def shorter_query(query: str) -> str:
    """A query with its windows divided by FACTOR, and PROMISE_SECONDS as the promise."""
    windows = re.sub(rf"\[({DURATION})\]", lambda found: f"[{shorter(found[1])}]", query)
    return windows.replace('le="0.05"', f'le="{PROMISE_SECONDS}"')


def write_prometheus(folder: Path, ports: dict[str, int]) -> Path:
    """prometheus.yml and its rules; `ports` has those of what is scraped, by job, and
    as `JOB-gpu` that of a second of its kind."""
    config: dict[str, Any] = load(DEPLOY / "prometheus" / "prometheus.yml")
    config["global"] = {
        "scrape_interval": "2s",
        "scrape_timeout": "2s",
        "evaluation_interval": "1s",
    }
    jobs = [job for job in config["scrape_configs"] if job["job_name"] in ports]
    config["scrape_configs"] = jobs
    for job in jobs:
        others = ports.get(f"{job['job_name']}-gpu")
        targets = [ports[job["job_name"]], *([others] if others else [])]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in targets]}]
    for manager in config["alerting"]["alertmanagers"]:
        manager["static_configs"] = [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]
    (folder / "rules").mkdir()
    for path in RULES.glob("*.yml"):
        content = load(path)
        for group in content["groups"]:
            group["interval"] = "1s"
            for rule in group["rules"]:
                rule["expr"] = shorter_query(rule["expr"])
                if "for" in rule:
                    rule["for"] = shorter(rule["for"])
        (folder / "rules" / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def write_alertmanager(folder: Path, webhook_port: int) -> Path:
    """alertmanager.yml with the webhooks at `webhook_port`."""
    config: dict[str, Any] = load(DEPLOY / "alertmanager" / "alertmanager.yml")
    for route in (config["route"], *config["route"]["routes"]):
        for name in ("group_wait", "group_interval", "repeat_interval"):
            route[name] = shorter(route[name])
    for receiver in config["receivers"]:
        for webhook in receiver["webhook_configs"]:
            webhook["url"] = re.sub(r":\d+/", f":{webhook_port}/", webhook["url"])
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path

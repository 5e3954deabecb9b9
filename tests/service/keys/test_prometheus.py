"""A real Prometheus reads metrics that are closed, configured as docs/operating.md says."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from service.keys.line import line_of
from tests.deploy.conftest import binaries  # noqa: F401
from tests.deploy.running import free_port, running, wait_for
from tests.service.conftest import StartService
from tests.service.keys.test_store import write

DOCUMENT = Path(__file__).parent.parent.parent.parent / "docs" / "operating.md"


def documented_job() -> dict[str, Any]:
    """The job of the page, as one to change."""
    text = DOCUMENT.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.S)
    (job,) = (yaml.safe_load(block)[0] for block in blocks if "credentials_file" in block)
    return dict(job)


def healths(port: int) -> dict[str, str]:
    """How the targets are, by job."""
    url = f"http://127.0.0.1:{port}/api/v1/targets"
    with urllib.request.urlopen(url, timeout=5) as reply:
        targets = json.load(reply)["data"]["activeTargets"]
    return {target["labels"]["job"]: target["health"] for target in targets}


def test_prometheus_reads_closed_metrics(
    binaries: dict[str, str],  # noqa: F811
    start_service: StartService,
    tmp_path: Path,
) -> None:
    managers = write(tmp_path / "managers", line_of("prometheus", "m"))
    service = start_service(management_keys_file=managers, closed_pages=("metrics",))
    job = {**documented_job(), "scrape_interval": "1s"}
    assert job["job_name"] == "sub50"  # the alerts know it by that name
    job["static_configs"] = [{"targets": [service.url.removeprefix("http://")]}]
    job["authorization"]["credentials_file"] = str(write(tmp_path / "key", "m"))
    wrong = {"credentials_file": str(write(tmp_path / "wrong", "wrong"))}
    jobs = [job, {**job, "job_name": "wrong", "authorization": wrong}]
    (tmp_path / "config.yml").write_text(yaml.safe_dump({"scrape_configs": jobs}))
    port = free_port()
    command = [
        binaries["prometheus"],
        f"--config.file={tmp_path / 'config.yml'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
    ]
    with running(command, f"http://127.0.0.1:{port}/-/ready", tmp_path):
        expected = {"sub50": "up", "wrong": "down"}
        wait_for(lambda: healths(port) == expected, 20, lambda: str(healths(port)))

"""The generator under plain Locust, without `sub50` around it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from loadtest.generate import LOCUSTFILE
from tests.loadtest.conftest import ROOT, StartStub

LOCUST = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE)]
WEB_PAGE_SECONDS = 30


def test_headless_locust_judges_and_exits_with_the_verdict(start_stub: StartStub) -> None:
    options = ["--rate", "80", "--duration", "2", "--warm-up", "0", "--only-summary"]
    command = [*LOCUST, "--headless", "--host", start_stub(statuses=[500]), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "VERDICT FAIL p99_ms=inf" in done.stderr + done.stdout
    assert "status 500" in done.stderr + done.stdout


@pytest.fixture
def web_page() -> Iterator[str]:
    """The address of Locust's web page."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [*LOCUST, "--web-host", "127.0.0.1", "--web-port", str(port)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


def stats_of(page: str) -> Any:
    with urllib.request.urlopen(f"{page}/stats/requests", timeout=5) as response:
        return json.load(response)


def wait_for(page: str, state: str) -> Any:
    deadline = time.monotonic() + WEB_PAGE_SECONDS
    while time.monotonic() < deadline:
        try:
            seen = stats_of(page)
            if seen["state"] == state:
                return seen
        except OSError:
            pass
        time.sleep(0.2)
    return pytest.fail(f"never {state}")


def test_the_web_page_runs_the_open_loop(web_page: str, start_stub: StartStub) -> None:
    wait_for(web_page, "ready")
    form = {"user_count": 1, "spawn_rate": 1, "host": start_stub(delay_ms=7), "rate": 80}
    form |= {"duration": 2, "warm_up": 0, "scenario": "classify"}
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{web_page}/swarm", data, timeout=5) as response:
        assert json.load(response)["success"]
    seen = wait_for(web_page, "stopped")
    rows = {row["name"]: row for row in seen["stats"]}
    assert rows["Aggregated"]["num_requests"] > 100
    assert rows["Aggregated"]["num_failures"] == 0
    # Locust on its own keeps whole milliseconds.
    assert rows["sentence"]["median_response_time"] % 1
    assert 7 < rows["sentence"]["median_response_time"] < 20

"""slowhttptest, Debian's own attacker: the service answers others all the while, and ends each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time

import pytest

from tests.service.conftest import StartService
from tests.service.raw_client import cut, metric

CONNECTIONS = 200
SECONDS = 5
ATTACKS = {
    # Headers one by one, a body piece by piece, an answer read by single bytes, and ranges.
    "slow headers": ["-H", "-i", "1"],
    "slow body": ["-B", "-i", "1", "-s", "8192", "-t", "POST"],
    "slow read": ["-X", "-k", "3", "-w", "10", "-y", "20", "-n", "1", "-z", "32"],
    "ranges": ["-R", "-b", "3000"],
}
PATHS = {
    "slow headers": "/v1/classify",
    "slow body": "/v1/classify",
    "slow read": "/static-offline-docs/swagger-ui-bundle.js",
    "ranges": "/static-offline-docs/swagger-ui-bundle.js",
}
# What the service has to end them for. A whole request gets an answer, whatever ranges it asks for.
ENDED_FOR = {"slow headers": "slow_headers", "slow body": "slow_body", "slow read": "slow_reader"}
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def slowhttptest() -> str:
    """Its path. Without it the test is skipped, or fails where REQUIRE_SLOWHTTPTEST is set."""
    path = shutil.which("slowhttptest")
    if path is None:
        if os.environ.get("REQUIRE_SLOWHTTPTEST"):
            pytest.fail("slowhttptest is not installed")
        pytest.skip("slowhttptest is not installed")
    return path


@pytest.mark.parametrize("attack", ATTACKS)
def test_others_are_answered_while_it_attacks(
    start_service: StartService, slowhttptest: str, attack: str
) -> None:
    service = start_service(
        header_seconds=2,
        body_seconds=2,
        answer_seconds=2,
        idle_seconds=2,
        slowest_bytes_per_second=100_000,
        pages_per_second=10_000,  # nobody waits for a turn here
    )
    command = [slowhttptest, *ATTACKS[attack], "-c", str(CONNECTIONS), "-r", str(CONNECTIONS)]
    command += ["-l", str(SECONDS), "-p", "3", "-u", service.url + PATHS[attack]]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as attacker:
        while attacker.poll() is None:
            assert service.post("/v1/classify", {"input": "a good film"}).status_code == 200
            time.sleep(0.1)
        assert attacker.stdout is not None
        shown = COLOURS.sub("", attacker.stdout.read())
    available = re.findall(r"service available:\s*(\w+)", shown)
    assert available, shown
    assert set(available) == {"YES"}, shown
    deadline = time.monotonic() + 8
    while metric(service.client, "sub50_connections") > 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    if attack in ENDED_FOR:
        assert cut(service.client, ENDED_FOR[attack]) >= CONNECTIONS / 2

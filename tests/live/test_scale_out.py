"""Three embedded Tritons behind one name: each does its share, one is killed, one is added.

Run it with `-s` to see the figures.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.processes import running_below
from chaos.stack import TRITON
from core.card import ENGINE_FILE
from tests.background import SteadyLoad
from tests.deploy.running import answers, free_port, running, wait_for
from tests.live.test_stack import ROOT, SUB50, executions
from tests.name_server import NameServer

pytestmark = pytest.mark.live

BUILT = ROOT / "model_repository" / "sentiment"
RATE = 40
TEXT = "The acting is superb, although the last half hour could have lost a few of its scenes."
WATCHED_SECONDS = 6
# Before it is killed it stands still, so that requests are under way there.
STILL_SECONDS = 0.3
CONNECTION_AGE_SECONDS = 5.0
# gRPC adds up to a tenth to the age of a connection, and asks for addresses every 5 s at most.
JOINS_WITHIN_SECONDS = 1.1 * CONNECTION_AGE_SECONDS + 5 + 2
SHARE_POINTS = 0.05


@dataclass(frozen=True)
class Asked:
    """One request: when it was sent and through, on the monotonic clock, and its status."""

    sent: float
    done: float
    status: int


class Clients(SteadyLoad):
    """Requests at a steady rate, whether or not earlier ones were answered."""

    def __init__(self, url: str) -> None:
        super().__init__(RATE)
        self._request = urllib.request.Request(
            f"{url}/v1/classify",
            json.dumps({"input": TEXT}).encode(),
            {"Content-Type": "application/json"},
        )
        self.asked: list[Asked] = []

    def _ask(self, _number: int) -> None:
        sent = time.monotonic()
        try:
            with urllib.request.urlopen(self._request, timeout=60) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except OSError:
            status = 0
        self.asked.append(Asked(sent, time.monotonic(), status))


@dataclass(frozen=True)
class Ports:
    """The same for all Tritons, each of which has an address of its own."""

    grpc: int
    metrics: int


@dataclass
class OneTriton:
    """A `sub50 triton` at an address of loopback."""

    address: str
    metrics_url: str
    process: subprocess.Popen[bytes]

    def requests(self) -> float:
        """Requests for `sentiment` that it has answered, by its own count."""
        return executions(self.metrics_url, "sentiment")[0]

    def kill(self) -> float:
        """Kill its server outright, with requests under way; the moment when that happened."""
        (server,) = running_below(self.process.pid, TRITON)
        os.kill(server, signal.SIGSTOP)
        time.sleep(STILL_SECONDS)
        moment = time.monotonic()
        os.kill(server, signal.SIGKILL)
        return moment


@contextmanager
def triton(address: str, ports: Ports, repository: Path, folder: Path) -> Iterator[OneTriton]:
    command = [SUB50, "triton", "--host", address, "--repository", repository]
    command += ["--grpc-port", str(ports.grpc), "--metrics-port", str(ports.metrics)]
    command += ["--connection-age", str(CONNECTION_AGE_SECONDS)]
    own = folder / address
    own.mkdir()
    url = f"http://{address}:{ports.metrics}/metrics"
    with running(command, url, own) as process:
        log = own / "sub50.log"
        # Its metrics are there before its models are.
        wait_for(lambda: "answers gRPC" in log.read_text(), 60, log.read_text)
        yield OneTriton(address, url, process)


@contextmanager
def api(target: str, repository: Path, folder: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [SUB50, "api", "--triton", target, "--port", str(port), "--repository", repository]
    # What is tested here is what it answers, not how fast this machine is.
    settings = {"SUB50_ENGINE_LANES": "3", "SUB50_INTERACTIVE_TIMEOUT_MS": "5000"}
    with running(command, f"{url}/readyz", folder, **settings):
        yield url


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert (BUILT / "1" / ENGINE_FILE).is_file(), "sentiment is not built; run `make setup`"
    shutil.copytree(BUILT, tmp_path / "models" / "sentiment")
    return tmp_path / "models"


def shares(tritons: list[OneTriton], seconds: float) -> list[float]:
    """The part of the requests of the next seconds that each of the Tritons answered."""
    before = [triton.requests() for triton in tritons]
    time.sleep(seconds)
    counted = [triton.requests() - count for triton, count in zip(tritons, before, strict=True)]
    print(f"requests in {seconds:g} s: {[f'{count:g}' for count in counted]}")
    return [count / sum(counted) for count in counted]


def test_each_does_its_share_as_one_is_killed_one_joins_one_ends(
    repository: Path, tmp_path: Path
) -> None:
    ports = Ports(free_port(), free_port())
    addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    with ExitStack() as stack:
        names = stack.enter_context(NameServer(addresses))
        with ThreadPoolExecutor() as pool:
            starting = [triton(address, ports, repository, tmp_path) for address in addresses]
            tritons = list(pool.map(stack.enter_context, starting))
        url = stack.enter_context(api(names.target(ports.grpc), repository, tmp_path))
        load = stack.enter_context(Clients(url))
        time.sleep(2)

        assert shares(tritons, WATCHED_SECONDS) == pytest.approx([1 / 3] * 3, abs=SHARE_POINTS)

        killed = tritons.pop().kill()
        # With it out of the name, too, nothing is left that would have the name asked for again.
        names.addresses = addresses[:2]
        assert shares(tritons, WATCHED_SECONDS) == pytest.approx([1 / 2] * 2, abs=SHARE_POINTS)
        assert answers(f"{url}/readyz")

        added = stack.enter_context(triton("127.0.0.4", ports, repository, tmp_path))
        started, first = time.monotonic(), added.requests()
        names.addresses.append(added.address)
        wait_for(lambda: added.requests() > first, JOINS_WITHIN_SECONDS, lambda: "it joins")
        print(f"joined after {time.monotonic() - started:.1f} s")
        tritons.append(added)
        time.sleep(2)
        assert shares(tritons, WATCHED_SECONDS) == pytest.approx([1 / 3] * 3, abs=SHARE_POINTS)

        tritons.pop(0).process.terminate()
        assert shares(tritons, WATCHED_SECONDS) == pytest.approx([1 / 2] * 2, abs=SHARE_POINTS)

    in_flight = [asked for asked in load.asked if asked.sent <= killed <= asked.done]
    failed = [asked for asked in load.asked if asked.status != 200]
    print(f"{len(load.asked)} requests, {len(in_flight)} in flight at the kill, failed: {failed}")
    assert len(load.asked) > 4 * WATCHED_SECONDS * RATE
    assert in_flight
    # Not even those: who was asked by the one that is gone is asked of another.
    assert failed == []

"""An API that is killed, as Prometheus tells of it: counters go on, and what was in flight is gone.

An API is one process, and several are instances that are scraped apart. There are no workers behind
one port whose metrics would have to be kept in files.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest
import yaml

from tests.deploy.running import free_port, running, wait_for
from tests.deploy.test_grafana_live import api
from tests.deploy.test_paged import ROOT, SUB50
from tests.fake_triton import FakeTriton, running_fake_triton, sums
from tests.tiny_models import write_tiny_model

pytestmark = pytest.mark.live

ANSWERS = "sub50_request_duration_seconds_count"
ANSWERED = f"sum(increase({ANSWERS}[5m]))"
IN_FLIGHT = "sum(sub50_inflight)"
HELD, EACH, AFTERWARDS = 4, 20, 15
SEEN_SECONDS = 30


@pytest.fixture
def triton() -> Iterator[FakeTriton]:
    """A fake Triton with the model `sentiment`, in a thread."""
    started: list[FakeTriton] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with running_fake_triton({"sentiment": sums}) as fake:
            started.append(fake)
            ready.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(task))
    thread.start()
    assert ready.wait(20)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


def instance(folder: Path, port: int, target: str) -> AbstractContextManager[Any]:
    """`sub50 api` on that port, from when it is ready."""
    folder.mkdir(exist_ok=True)
    command = [SUB50, "api", "--port", str(port), "--repository", folder.parent / "models"]
    environment = {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000", "PYTHONPATH": str(ROOT)}
    url = f"http://127.0.0.1:{port}/readyz"
    return running([*command, "--triton", target], url, folder, **environment)


@contextmanager
def scraping(binary: str, targets: list[int], folder: Path) -> Iterator[int]:
    """A Prometheus that reads these ports every second; its own port."""
    port, path = free_port(), folder / "prometheus.yml"
    jobs = [
        {"job_name": "sub50", "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in targets]}]}
    ]
    path.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
    command = [
        binary,
        f"--config.file={path}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
    ]
    with running(command, f"http://127.0.0.1:{port}/-/ready", folder):
        yield port


def ask(port: int, times: int = 1, timeout_ms: int = 10_000) -> None:
    """Classify a text so many times; a connection that breaks is what the test is about."""
    for _ in range(times):
        body = json.dumps({"input": "a good film"}).encode()
        url, headers = (
            f"http://127.0.0.1:{port}/v1/classify",
            {"Content-Type": "application/json", "X-Request-Timeout-Ms": str(timeout_ms)},
        )
        with suppress(HTTPError, URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=70).close()


class Watched:
    """A Prometheus that is asked until it says what is true."""

    def __init__(self, port: int) -> None:
        self._port = port

    def value(self, query: str) -> float:
        """What it makes of a query now; NaN of nothing."""
        found = api(self._port, "query", query=query)["result"]
        return float(found[0]["value"][1]) if found else math.nan

    def wait(self, query: str, expected: float) -> None:
        """Until it makes just that of the query."""
        self._wait(query, lambda value: value == expected, f"{expected}")

    def wait_answered(self, least: float) -> None:
        """Until it has counted so many answers, of all instances and all their lives."""
        self._wait(ANSWERED, lambda value: value >= least, f"{least} or more")

    def _wait(self, query: str, holds: Callable[[float], bool], expected: str) -> None:
        wait_for(
            lambda: holds(self.value(query)),
            SEEN_SECONDS,
            lambda: f"{query} is {self.value(query)}, not {expected}",
        )


def test_a_killed_instance_leaves_counters_rising_and_nothing_in_flight(
    triton: FakeTriton, binaries: dict[str, str], tmp_path: Path
) -> None:
    write_tiny_model(tmp_path / "models", "sentiment")
    ports = [free_port(), free_port()]
    of_first = f'{ANSWERS}{{instance="127.0.0.1:{ports[0]}"}}'
    falls = f"sum(resets({ANSWERS}[5m]))"
    with (
        instance(tmp_path / "two", ports[1], triton.target),
        scraping(binaries["prometheus"], ports, tmp_path) as port,
        ThreadPoolExecutor(HELD) as pool,
    ):
        prometheus = Watched(port)
        with instance(tmp_path / "one", ports[0], triton.target) as killed:
            for each in ports:
                ask(each)  # a series counts from its second scrape on
            prometheus.wait(f"sum({ANSWERS})", len(ports))
            for each in ports:
                ask(each, EACH)
            prometheus.wait_answered(len(ports) * EACH)
            triton.delay_seconds = 60
            for _ in range(HELD):
                pool.submit(ask, ports[0], timeout_ms=60_000)
            prometheus.wait(IN_FLIGHT, HELD)
            killed.kill()
            killed.wait()
            prometheus.wait(IN_FLIGHT, 0)
            prometheus.wait_answered(len(ports) * EACH)
            assert prometheus.value(falls) == 0
        triton.delay_seconds = 0
        with instance(tmp_path / "one", ports[0], triton.target):
            ask(ports[0])
            prometheus.wait(of_first, 1)
            ask(ports[0], AFTERWARDS)
            prometheus.wait_answered(len(ports) * EACH + AFTERWARDS)
            prometheus.wait(IN_FLIGHT, 0)
            # The one fall is that of the instance that began again at nought.
            assert prometheus.value(falls) == 1

"""From a slowed service to the page: Prometheus, Alertmanager, the service and its Triton, live."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chaos.processes import running_below
from chaos.stack import TRITON
from service.errors import ServeError
from service.triton.installation import find_installation
from tests.deploy.conftest import ROOT
from tests.deploy.running import Notice, Pulse, Webhook, free_port, running, wait_for
from tests.deploy.shortened import PROMISE_SECONDS, write_alertmanager, write_prometheus
from tests.tiny_models import write_tiny_model

pytestmark = pytest.mark.live

SUB50 = Path(sys.executable).parent / "sub50"
BURN, TRITON_DOWN = "Sub50PromiseBurnsFast", "Sub50TritonDown"
CLIENTS, PAUSE_SECONDS = 3, 0.2
# On a machine with nothing else to do a page takes ten seconds.
PAGE_SECONDS = 120.0


@contextmanager
def clients(url: str) -> Iterator[None]:
    """A few that ask one after the other, with pauses, for as long as the block runs."""
    over = threading.Event()

    def ask() -> None:
        body = json.dumps({"input": "a good film"}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{url}/v1/classify", body, headers)
        while not over.wait(PAUSE_SECONDS):
            try:
                urllib.request.urlopen(request, timeout=10).close()
            except urllib.error.HTTPError as error:
                error.close()
            except OSError:  # the connection was given up; the service has counted why
                continue

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def alertmanager(binaries: dict[str, str], webhook: Webhook, folder: Path) -> Iterator[int]:
    """A running Alertmanager with the committed routes; its port."""
    port = free_port()
    command = [
        binaries["alertmanager"],
        f"--config.file={write_alertmanager(folder, webhook.port)}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        f"--storage.path={folder / 'alertmanager'}",
    ]
    with running(command, f"http://127.0.0.1:{port}/-/ready", folder):
        yield port


@contextmanager
def prometheus(binaries: dict[str, str], ports: dict[str, int], folder: Path) -> Iterator[int]:
    """A running Prometheus with the committed rules; its port."""
    port = free_port()
    command = [
        binaries["prometheus"],
        f"--config.file={write_prometheus(folder, {**ports, 'prometheus': port})}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
    ]
    with running(command, f"http://127.0.0.1:{port}/-/ready", folder):
        yield port


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """`sub50 serve` over one tiny model: its address, and its process."""
    try:
        find_installation()
    except ServeError as error:
        pytest.skip(f"no embedded Triton here: {error}")
    with sub50(tmp_path, "serve", "/readyz") as service:
        yield service


@contextmanager
def sub50(folder: Path, verb: str, ready: str, *options: str) -> Iterator[tuple[str, int]]:
    """The service over one tiny model, from when the route `ready` answers 200."""
    write_tiny_model(folder / "models", "sentiment")
    port = free_port()
    command = [SUB50, verb, "--port", str(port), "--repository", folder / "models", *options]
    environment = {
        "SUB50_INTERACTIVE_TIMEOUT_MS": str(1000 * PROMISE_SECONDS),
        "SUB50_TRITON_START_SECONDS": "inf",
        "PYTHONPATH": str(ROOT),
    }
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}{ready}", folder, **environment) as process:
        yield url, process.pid


@contextmanager
def watched(binaries: dict[str, str], url: str, folder: Path) -> Iterator[Webhook]:
    """Prometheus and Alertmanager over the service at `url`; where the notices come."""
    ports = {"sub50": int(url.rpartition(":")[2])}
    with (
        Webhook() as webhook,
        alertmanager(binaries, webhook, folder) as ports["alertmanager"],
        prometheus(binaries, ports, folder),
    ):
        yield webhook


def notice(webhook: Webhook, alert: str, status: str, url: str) -> Notice:
    """The notice of an alert, once it comes; `url` is the service's, for what to say if not."""

    def come() -> Notice | None:
        return webhook.first(alert, status)

    def standing() -> str:
        told = f"{alert} {status}; came: {[(n.alert, n.status) for n in webhook.notices]}"
        try:
            with urllib.request.urlopen(f"{url}/metrics", timeout=10) as reply:
                lines = reply.read().decode().splitlines()
        except OSError as error:
            return f"{told}; the service is gone: {error}"
        counted = (
            line for line in lines if line.startswith("sub50_request_duration_seconds_count")
        )
        return "\n".join([told, *counted])

    found: Notice = wait_for(come, PAGE_SECONDS, standing)
    return found


def test_a_slowed_service_pages_until_it_is_fast_again(
    serving: tuple[str, int], binaries: dict[str, str], tmp_path: Path
) -> None:
    url, pid = serving
    # Not the model's process: Triton gives up one that stands still for a second.
    triton = running_below(pid, TRITON)
    assert triton
    with clients(url), watched(binaries, url, tmp_path) as webhook:
        time.sleep(8)
        assert webhook.first(BURN, "firing") is None, webhook.notices
        with Pulse(triton, stopped_seconds=0.8, going_seconds=0.1):
            page = notice(webhook, BURN, "firing", url)
        assert page.path == "/page"
        assert page.labels["job"] == "sub50"
        assert "accepted in the last hour came late or failed" in page.annotations["summary"]
        assert (ROOT / page.annotations["runbook"]).is_file()
        notice(webhook, BURN, "resolved", url)


def test_a_triton_that_is_not_there_pages_once(binaries: dict[str, str], tmp_path: Path) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with (
        sub50(tmp_path, "api", "/livez", "--triton", nobody) as (url, _),
        watched(binaries, url, tmp_path) as webhook,
    ):
        page = notice(webhook, TRITON_DOWN, "firing", url)
        assert page.path == "/page"
        assert (ROOT / page.annotations["runbook"]).is_file()
        # Its model does not answer either, which follows from it.
        time.sleep(5)
        assert webhook.first("Sub50EngineSilent", "firing") is None


def post_alerts(port: int, *alerts: dict[str, str]) -> None:
    body: list[dict[str, Any]] = [{"labels": {"job": "sub50", **labels}} for labels in alerts]
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=10).close()


def test_what_follows_from_a_cause_is_not_told_and_a_ticket_is_no_page(
    binaries: dict[str, str], tmp_path: Path
) -> None:
    page, ticket = {"severity": "page"}, {"severity": "ticket"}
    drift = {"alertname": "Sub50PredictionDrift", **ticket}
    other = {"alertname": BURN, "job": "another", **page}
    with Webhook() as webhook, alertmanager(binaries, webhook, tmp_path) as port:
        post_alerts(
            port,
            {"alertname": TRITON_DOWN, **page},
            *({"alertname": f"Sub50PromiseBurns{how}", **page} for how in ("Fast", "Steadily")),
            {"alertname": "Sub50RefusesMany", **page},
            {"alertname": "Sub50EngineSilent", "model": "topics", **page},
            {"alertname": "Sub50RefusesSome", **ticket},
            {"alertname": "Sub50EngineMissing", "model": "topics", **page},
            {**drift, "model": "topics"},
            other,
            {"alertname": "Sub50PromiseBurnsSlowly", "job": "another", **ticket},
            {**drift, "job": "another"},
        )
        wanted = {
            ("/page", TRITON_DOWN, "sub50"),
            ("/page", "Sub50EngineMissing", "sub50"),
            ("/page", BURN, "another"),
            ("/ticket", "Sub50PredictionDrift", "another"),
        }

        def told() -> set[tuple[str, str, str]]:
            return {(n.path, n.alert, n.labels["job"]) for n in webhook.notices}

        wait_for(lambda: wanted <= told(), PAGE_SECONDS, lambda: f"{wanted - told()}")
        time.sleep(3)  # a group's wait is at most one second here
        assert told() == wanted

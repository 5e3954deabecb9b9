"""From a slowed service to the page: Prometheus, Alertmanager, the service and its Triton, live."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import onnx
import pytest

from service.errors import ServeError
from service.triton.installation import find_installation
from tests.deploy.conftest import ROOT
from tests.deploy.running import Notice, Pulse, Webhook, free_port, running, send, wait_for
from tests.deploy.shortened import PROMISE_SECONDS, write_alertmanager, write_prometheus
from tests.live.test_stack import descendants_of
from tests.tiny import card, write_model
from tests.tiny_models import CONFIG, tiny_engine

pytestmark = pytest.mark.live

SUB50 = Path(sys.executable).parent / "sub50"
BURN, TRITON_DOWN = "Sub50PromiseBurnsFast", "Sub50TritonDown"
CLIENTS, PAUSE_SECONDS = 3, 0.2
PAGE_SECONDS = 60.0


def write_repository(repository: Path) -> None:
    """One model, `sentiment`, whose engine has a few nodes."""
    version = write_model(repository, card("sentiment"))
    onnx.save(tiny_engine(), str(version / "model.onnx"))
    config = CONFIG.format(name="sentiment", batching="")
    (version.parent / "config.pbtxt").write_text(config, encoding="utf-8")


@contextmanager
def clients(url: str) -> Iterator[None]:
    """A few that ask one after the other, with pauses, for as long as the block runs."""
    over = threading.Event()

    def ask() -> None:
        body = json.dumps({"input": "a good film"}).encode()
        while not over.wait(PAUSE_SECONDS):
            try:
                urllib.request.urlopen(f"{url}/v1/classify", body, timeout=10).close()
            except urllib.error.HTTPError as error:
                error.close()

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
def prometheus(binaries: dict[str, str], ports: dict[str, int], folder: Path) -> Iterator[None]:
    """A running Prometheus with the committed rules."""
    port = free_port()
    command = [
        binaries["prometheus"],
        f"--config.file={write_prometheus(folder, {**ports, 'prometheus': port})}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
    ]
    with running(command, f"http://127.0.0.1:{port}/-/ready", folder):
        yield


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """`sub50 serve` over one tiny model: its address, and its process."""
    try:
        find_installation()
    except ServeError as error:
        pytest.skip(f"no embedded Triton here: {error}")
    write_repository(tmp_path / "models")
    port = free_port()
    command = [SUB50, "serve", "--port", str(port), "--repository", str(tmp_path / "models")]
    environment = {
        "SUB50_INTERACTIVE_TIMEOUT_MS": str(1000 * PROMISE_SECONDS),
        "PYTHONPATH": str(ROOT),
    }
    url = f"http://127.0.0.1:{port}"
    with running(command, f"{url}/readyz", tmp_path, **environment) as process:
        yield url, process.pid


def below(pid: int, name: str) -> set[int]:
    """Processes below `pid` whose program is called so."""
    found = set()
    for child in descendants_of(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile
            continue
        if Path(command[0].decode()).name == name:
            found.add(child)
    assert found, f"no {name} below {pid}"
    return found


def notice(webhook: Webhook, alert: str, status: str) -> Notice:
    def come() -> Notice | None:
        return webhook.first(alert, status)

    found: Notice = wait_for(come, PAGE_SECONDS, f"{alert} {status}; came: {webhook.notices}")
    return found


def test_a_slowed_service_pages_and_so_does_a_triton_that_hangs(
    serving: tuple[str, int], binaries: dict[str, str], tmp_path: Path
) -> None:
    url, pid = serving
    stubs = below(pid, "triton_python_backend_stub")
    triton = below(pid, "tritonserver")
    with ExitStack() as stack:
        webhook = stack.enter_context(Webhook())
        stack.enter_context(clients(url))
        ports = {"sub50": int(url.rpartition(":")[2])}
        ports["alertmanager"] = stack.enter_context(alertmanager(binaries, webhook, tmp_path))
        stack.enter_context(prometheus(binaries, ports, tmp_path))
        time.sleep(8)
        assert webhook.first(BURN, "firing") is None, webhook.notices
        assert webhook.first(TRITON_DOWN, "firing") is None, webhook.notices

        with Pulse(stubs, stopped_seconds=0.6, going_seconds=0.1):
            page = notice(webhook, BURN, "firing")
        assert page.path == "/page"
        assert page.labels["job"] == "sub50"
        assert "accepted in the last hour came late or failed" in page.annotations["summary"]
        assert (ROOT / page.annotations["runbook"]).is_file()
        assert webhook.first(TRITON_DOWN, "firing") is None  # it was slow, not gone
        notice(webhook, BURN, "resolved")

        send(signal.SIGSTOP, triton)
        try:
            page = notice(webhook, TRITON_DOWN, "firing")
        finally:
            send(signal.SIGCONT, triton)
        assert page.path == "/page"
        notice(webhook, TRITON_DOWN, "resolved")


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

        wait_for(lambda: wanted <= told(), PAGE_SECONDS, f"{wanted - told()}")
        time.sleep(3)  # a group's wait is at most one second here
        assert told() == wanted

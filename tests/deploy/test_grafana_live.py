"""Every query of the dashboards, asked of a Prometheus over a service that is at work."""

from __future__ import annotations

import json
import math
import re
import shutil
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promote_under_load import make_candidate
from service.errors import ServeError
from service.triton.installation import find_installation
from tests.deploy.conftest import ROOT
from tests.deploy.dashboards import DASHBOARDS, PanelQuery, filled_in, panel_queries, variables_of
from tests.deploy.gpu_metrics import gpu_exporter
from tests.deploy.running import free_port, running, wait_for
from tests.deploy.test_paged import SUB50, prometheus
from tests.live.test_promotion import engines, result_of

pytestmark = pytest.mark.live

BUILT = ROOT / "model_repository" / "sentiment"
# Long enough that a busy machine keeps it, short enough that some requests are refused for it.
PROMISE_MS = 1000
SHADOW_SECONDS = 12
DATA_SECONDS = 60
SENTENCES = [
    "A gripping story, and not a minute too long.",
    "Dull, and far too long. A waste of time.",
    "I want my money back.",
]
# What the test has made happen, by the panel that shows it.
HAPPENED = {
    "Refused, by reason": {"reason": "predicted"},
    "Promotions since the service started": {"model": "sentiment", "result": "promoted"},
    "Copies for candidates in the shadow": {"model": "sentiment", "result": "compared"},
    "Labels of candidates in the shadow": {"model": "sentiment", "result": "agreed"},
}


@contextmanager
def every_kind_of_request(url: str) -> Iterator[None]:
    """Interactive and bulk ones, and ones that are refused, for as long as the block runs."""
    over = threading.Event()

    def ask() -> None:
        number = 0
        while not over.wait(0.05):
            number += 1
            texts = SENTENCES * 20 if number % 10 == 3 else SENTENCES[number % 3]
            headers = {"Content-Type": "application/json"}
            if number % 5 == 0:
                headers["X-Request-Timeout-Ms"] = "1"
            body = json.dumps({"input": texts}).encode()
            request = urllib.request.Request(f"{url}/v1/classify", body, headers)
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                error.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def api(port: int, path: str, **parameters: str) -> Any:
    """What Prometheus answers."""
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}?{query}", timeout=10) as a:
        return json.load(a)["data"]


def has_data(port: int, query: PanelQuery, begun: float) -> bool:
    """Whether the panel would draw something, and what the test has made happen."""
    times = {"start": str(begun), "end": str(time.time()), "step": "2"}
    found = api(port, "query_range", query=query.filled_in, **times)["result"]
    happened = HAPPENED.get(query.panel)
    for each in found:
        values = [float(value) for _, value in each["values"]]
        if happened is None and any(map(math.isfinite, values)):
            return True
        if happened is not None and happened.items() <= each["metric"].items() and max(values) > 0:
            return True
    return False


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    try:
        find_installation()
    except ServeError as error:
        pytest.skip(f"no embedded Triton here: {error}")
    assert (BUILT / "1" / "model.onnx").is_file(), "sentiment is not built; run `make setup`"
    shutil.copytree(BUILT, tmp_path / "models" / "sentiment")
    return tmp_path / "models"


@pytest.fixture
def prometheus_port(repository: Path, binaries: dict[str, str], tmp_path: Path) -> Iterator[int]:
    """A Prometheus that has seen requests, refusals, a shadow and promotions, and goes on so; the
    figures of a GPU are made up."""
    ports = {"sub50": free_port(), "triton": free_port(), "alertmanager": free_port()}
    ports["prometheus"] = free_port()
    url = f"http://127.0.0.1:{ports['sub50']}"
    command = [SUB50, "serve", "--port", str(ports["sub50"]), "--repository", repository]
    settings = {
        "SUB50_TRITON_METRICS_PORT": str(ports["triton"]),
        "SUB50_INTERACTIVE_TIMEOUT_MS": str(PROMISE_MS),
        "PYTHONPATH": str(ROOT),
    }
    make_candidate(repository / "sentiment" / "1", tmp_path / "made")
    with (
        gpu_exporter() as ports["triton-gpu"],
        running(command, f"{url}/readyz", tmp_path, **settings),
        prometheus(binaries, ports, tmp_path) as port,
        every_kind_of_request(url),
    ):
        promote = ("promote", "sentiment", str(tmp_path / "made"), "--shadow", f"{SHADOW_SECONDS}s")
        shadowed = engines(*promote, repository=repository)
        shadowed.communicate(timeout=120)  # so few copies may not be enough to be promoted
        if shadowed.returncode != 0:
            result_of(engines(*promote[:3], repository=repository))
        yield port


def test_every_panel_has_data(prometheus_port: int) -> None:
    begun = time.time() - 30
    empty = list(panel_queries())

    def all_have_data() -> bool:
        empty[:] = [query for query in empty if not has_data(prometheus_port, query, begun)]
        return not empty

    assert {query.panel for query in empty} >= set(HAPPENED)
    wait_for(all_have_data, DATA_SECONDS, lambda: "\n".join(map(str, empty)))

    for dashboard in DASHBOARDS.values():
        for name, asked in variables_of(dashboard).items():
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", asked)
            assert found, asked
            values = api(
                prometheus_port, f"label/{found[2]}/values", **{"match[]": filled_in(found[1])}
            )
            assert values, name

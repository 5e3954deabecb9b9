"""A text passes every route of `sub50 serve` and stands nowhere afterwards, or meanwhile."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chaos.processes import descendants_of, running_below
from chaos.stack import TRITON
from tests.collector import Collector, collecting
from tests.deploy.running import free_port
from tests.live.promoting import until
from tests.live.test_stack import JSON, ROOT, SUB50

pytestmark = pytest.mark.live

WORDS = ("zyzzyva", "quixotry", "mercator")
SECRET = "Zyzzyva Quixotry Mercator"
DOCUMENT = f"{SECRET} is dull. A second sentence follows. {SECRET} again."
MODELS = ("sentiment", "general")
SHARED_MEMORY = Path("/dev/shm")


class Service:
    """`sub50 serve` that logs all it can, with temporary files and traces of its own."""

    def __init__(self, folder: Path, collector: Collector) -> None:
        self.port, self.log, self.temporary = free_port(), folder / "log", folder / "tmp"
        self.temporary.mkdir()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [SUB50, "serve", "--port", str(self.port), "--repository", folder / "models"],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=allow_core_dumps,
                env=os.environ
                | {
                    "TMPDIR": str(self.temporary),
                    "SUB50_LOG_LEVEL": "debug",
                    "SUB50_LOG_REQUESTS": "all",
                    "SUB50_MAX_TEXT_BYTES": "2000",
                    "SUB50_INTERACTIVE_TIMEOUT_MS": "20000",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
                    "OTEL_BSP_SCHEDULE_DELAY": "100",
                },
            )
        until(lambda: self.is_ready(), seconds=60)

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def ask(
        self, method: str, route: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, route, content if body is not None else None, JSON | headers)
        response = connection.getresponse()
        found = response.status, dict(response.getheaders()), response.read()
        connection.close()
        return found

    @property
    def regions(self) -> list[Path]:
        return sorted(SHARED_MEMORY.glob(f"sub50-{self.process.pid}-*"))


def allow_core_dumps() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Service]:
    """One for all tests here; the last of them ends it."""
    folder = tmp_path_factory.mktemp("secrecy")
    for name in MODELS:
        built = ROOT / "model_repository" / name
        assert (built / "1" / "card.json").is_file(), f"{name} is not built; run `make setup`"
        shutil.copytree(built, folder / "models" / name)
    running = Service(folder, collector)
    yield running
    running.process.kill()
    running.process.wait()


def ask_in_every_way(service: Service) -> dict[int, bytes]:
    """Every route with the text, answered and refused; statuses, with what was answered."""
    asked = [
        ("/v1/classify", {"input": SECRET}, {}),
        ("/v1/classify", {"input": [SECRET, SECRET.lower()]}, {}),
        ("/v1/summarize", {"input": DOCUMENT}, {}),
        ("/predict", {"inputs": SECRET}, {}),
        ("/hf/sentiment", {"inputs": SECRET}, {}),
        ("/v1/classify", {"input": [5, SECRET], "top_k": SECRET}, {}),
        ("/v1/classify", SECRET.encode(), {}),
        ("/v1/classify", {"input": SECRET, "model": SECRET}, {}),
        (f"/hf/{WORDS[0]}", {"inputs": SECRET}, {}),
        (f"/{WORDS[0]}?{WORDS[1]}={WORDS[2]}", {"input": SECRET}, {}),
        ("/v1/classify", {"input": SECRET * 100}, {}),
        ("/v1/classify", {"input": SECRET}, {"Content-Type": "text/plain"}),
        ("/v1/classify", {"input": SECRET}, {"X-Request-Timeout-Ms": "0.001"}),
        ("/v1/classify", {"input": SECRET}, {"X-Request-Timeout-Ms": SECRET}),
        ("/v1/classify", {"input": SECRET}, {"X-Request-ID": f"{SECRET} "}),
        ("/v1/classify", {"input": SECRET}, {"User-Agent": SECRET, "Referer": SECRET}),
        ("/v1/classify", {"input": SECRET}, {"Authorization": f"Bearer {WORDS[0]}"}),
    ]
    seen: dict[int, bytes] = {}
    for route, body, headers in asked:
        status, answered, content = service.ask("POST", route, body, **headers)
        seen[status] = seen.get(status, b"") + content
        assert "server" not in {name.lower() for name in answered}
    return seen


def hang_up(service: Service) -> None:
    """Ask, and close the connection before the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/v1/summarize", json.dumps({"input": DOCUMENT * 15}), JSON)
    connection.close()


def words_in(content: bytes) -> list[str]:
    return [word for word in WORDS if word.encode() in content.lower()]


def files_with_the_text(folders: list[Path]) -> dict[Path, list[str]]:
    found = {}
    for folder in folders:
        paths = folder.rglob("*") if folder.is_dir() else [folder]
        for path in paths:
            # The tokenizer knows words too; it lies behind a link to the repository.
            if path.is_file() and "models" not in path.parts and words_in(path.read_bytes()):
                found[path] = words_in(path.read_bytes())
    return found


def test_what_errors_say_leads_nowhere(service: Service) -> None:
    """No path of ours, no name or version of a package, no place in the code."""
    ask_in_every_way(service)
    routes = [("GET", "/nowhere"), ("PUT", "/v1/classify"), ("GET", "/v1/models/none")]
    bodies = [service.ask(method, route) for method, route in routes]
    bodies += [service.ask("POST", "/v1/classify", body) for body in (b"{", {"input": ""}, [])]
    bodies.append(service.ask("POST", "/predict", {"inputs": 5}))
    service.ask("GET", "/readyz")
    for triton in triton_of(service):
        os.kill(triton, signal.SIGSTOP)
    try:
        until(lambda: bodies.append(service.ask("GET", "/readyz")) or bodies[-1][0] == 503)
        bodies.append(
            service.ask("POST", "/v1/classify", {"input": "x"}, **{"X-Request-Timeout-Ms": "500"})
        )
    finally:
        for triton in triton_of(service):
            with suppress(ProcessLookupError):  # it was taken for dead, and brought back
                os.kill(triton, signal.SIGCONT)
    assert {status for status, _, _ in bodies} >= {400, 404, 405, 422, 503}
    for _, headers, body in bodies:
        told = " ".join([*headers.values(), body.decode()])
        assert telling(told) == [], told


LEADS = re.compile(
    r"/(?:usr|home|tmp|root|var|opt|work|dev|proc|site-packages)/|\.py\b|Traceback|line \d+, in|"
    r"uvicorn|starlette|fastapi|pydantic|grpc|onnx|127\.0\.0\.1|sub50-\d|python/",
    re.IGNORECASE,
)


def telling(text: str) -> list[str]:
    return LEADS.findall(text)


def triton_of(service: Service) -> list[int]:
    return sorted(running_below(service.process.pid, TRITON))


def test_other_users_of_the_machine_read_no_tokens(service: Service) -> None:
    """Regions of shared memory, through which requests go, and images of memory after a crash."""
    until(service.is_ready)
    until(lambda: {path.stat().st_mode & 0o777 for path in service.regions} == {0o600}, seconds=2)
    processes = {service.process.pid, *descendants_of(service.process.pid)}
    assert len(triton_of(service)) == 1
    for pid in processes:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 ", limits), limits


def test_a_text_stands_nowhere(service: Service, collector: Collector) -> None:
    until(service.is_ready)
    seen = ask_in_every_way(service)
    assert set(seen) >= {200, 400, 404, 413, 415, 422}
    hang_up(service)
    told = [service.ask("GET", route)[2] for route in ("/readyz", "/v1/board", "/metrics")]
    openmetrics = {"Accept": "application/openmetrics-text;version=1.0.0"}
    told.append(service.ask("GET", "/metrics", **openmetrics)[2])
    assert b"trace_id" in told[-1]
    assert [words_in(each) for each in told] == [[]] * len(told)
    until(lambda: len(collector.spans) > 20)
    meanwhile = [service.temporary, *service.regions]
    assert len(service.regions) >= len(MODELS)
    assert files_with_the_text(meanwhile) == {}
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(20) == 0
    assert b"POST /v1/summarize" in service.log.read_bytes()
    assert files_with_the_text([service.log, service.temporary]) == {}
    traced = b"".join(each.SerializeToString() for each in collector.received)
    assert b"POST /v1/summarize" in traced
    assert words_in(traced) == []
    assert service.regions == []
    assert list(service.temporary.iterdir()) == []

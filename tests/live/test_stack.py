"""`sub50 serve` as users start it: the built engines, a real Triton, HTTP."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from chaos.processes import descendants_of, still_running
from tests.deploy.running import free_port

pytestmark = pytest.mark.live

ROOT = Path(__file__).parent.parent.parent
SUB50 = Path(sys.executable).parent / "sub50"
MODELS = ("sentiment", "topics", "general", "contracts")
JSON = {"Content-Type": "application/json"}
READY_SECONDS = 60
STOP_SECONDS = 20

CONTRACT = (Path(__file__).parent / "contract.txt").read_text(encoding="utf-8")


class Stack:
    """A running `sub50 serve`."""

    def __init__(
        self,
        port: int,
        *options: str,
        program: Sequence[str | Path] = (SUB50,),
        **variables: str,
    ) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [*program, "serve", "--port", str(port), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # What is tested here is what it answers, not how fast this machine is.
            env=os.environ | {"SUB50_INTERACTIVE_TIMEOUT_MS": "20000"} | variables,
        )

    def get(self, route: str) -> bytes:
        with urllib.request.urlopen(self.url + route, timeout=10) as response:
            return bytes(response.read())

    def post(self, route: str, body: Any) -> Any:
        content = json.dumps(body).encode()
        request = urllib.request.Request(self.url + route, content, JSON)
        with urllib.request.urlopen(request, timeout=130) as response:
            return json.load(response)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                pytest.fail(f"ended with {self.process.returncode}: {self.process.stdout.read()}")
            try:
                self.get("/readyz")
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail("not ready in time")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=STOP_SECONDS)
        return self.process.returncode, output

    def descendants(self) -> set[int]:
        return descendants_of(self.process.pid)


def shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    missing = [m for m in MODELS if not list((ROOT / "model_repository" / m).glob("*/model.onnx"))]
    assert not missing, f"engines are not built: {missing}; run `make setup`"
    running = Stack(free_port(), SUB50_TRITON_METRICS_PORT="0")
    running.wait_until_ready()
    yield running
    running.end()


def test_sentiment_and_topics_are_right(stack: Stack) -> None:
    texts = ["A wonderful, moving film.", "Dull, and far too long. A waste of time."]
    results = stack.post("/v1/classify", {"input": texts})["results"]
    assert [result["label"] for result in results] == ["positive", "negative"]
    news = [
        "The striker scored twice as the home team won the cup final.",
        "Shares fell after the bank cut its profit forecast.",
    ]
    topics = stack.post("/v1/classify", {"input": news, "model": "topics"})["results"]
    assert [topic["label"] for topic in topics] == ["Sports", "Business"]


@pytest.mark.parametrize("model", ["general", "contracts"])
def test_a_contract_is_summarized_by_its_own_sentences(stack: Stack, model: str) -> None:
    body = {"input": CONTRACT, "model": model, "ratio": 0.2}
    (result,) = stack.post("/v1/summarize", body)["results"]
    assert len(result["sentences"]) >= 2
    for sentence in result["sentences"]:
        assert CONTRACT[sentence["start"] : sentence["end"]] == sentence["text"]


def test_contracts_keeps_obligations_rather_than_headings(stack: Stack) -> None:
    body = {"input": CONTRACT, "model": "contracts", "ratio": 0.3}
    summary = stack.post("/v1/summarize", body)["results"][0]["summary"]
    assert "governed by" in summary


def test_a_document_of_a_megabyte_is_summarized(stack: Stack) -> None:
    # Many sentences would take long on two cores; one long word and repeated lines take little.
    document = (CONTRACT * 40)[:100_000] + " " + "x" * 900_000
    body = {"input": document, "model": "general", "max_sentences": 2}
    (result,) = stack.post("/v1/summarize", body)["results"]
    for sentence in result["sentences"]:
        assert document[sentence["start"] : sentence["end"]] == sentence["text"]


def test_answers_hold_still_whoever_shares_the_batch(stack: Stack) -> None:
    words = CONTRACT.split() * 3
    texts = [" ".join(words[i : i + 3 + (i * 7) % 90]) for i in range(0, 600, 10)]
    alone = [stack.post("/v1/classify", {"input": text})["results"][0] for text in texts]
    with ThreadPoolExecutor(16) as pool:
        crowded = list(
            pool.map(lambda text: stack.post("/v1/classify", {"input": text})["results"][0], texts)
        )
    together = stack.post("/v1/classify", {"input": texts})["results"]
    for one, other, third in zip(alone, crowded, together, strict=True):
        assert one["label"] == other["label"] == third["label"]
        assert abs(one["score"] - other["score"]) <= 2e-3
        assert abs(one["score"] - third["score"]) <= 2e-3


def test_texts_of_mixed_length_are_batched(stack: Stack) -> None:
    metrics_url = triton_metrics_url(stack)
    # Long enough that the engine, not this client, is what the others wait for.
    texts = [f"The film is {'very ' * (20 + i * 13 % 90)}good, number {i}." for i in range(300)]
    before = executions(metrics_url, "sentiment")
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda text: stack.post("/v1/classify", {"input": text}), texts))
    deadline = time.monotonic() + 5  # Triton counts after it has answered
    while (after := executions(metrics_url, "sentiment"))[0] < before[0] + len(texts):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    inferences, runs = (b - a for a, b in zip(before, after, strict=True))
    assert inferences <= 304  # one look of the service at whether the model lives
    assert inferences / runs > 1.5


def triton_metrics_url(stack: Stack) -> str:
    for pid in stack.descendants():
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        for argument in command:
            if argument.startswith("--metrics-port="):
                return f"http://127.0.0.1:{argument.partition('=')[2]}/metrics"
    raise AssertionError("no Triton below the stack")


def executions(metrics_url: str, model: str) -> tuple[float, float]:
    with urllib.request.urlopen(metrics_url, timeout=10) as response:
        text = response.read().decode()
    counts = []
    for name in ("nv_inference_count", "nv_inference_exec_count"):
        found = re.findall(rf'{name}{{[^}}]*model="{model}"[^}}]*}} (\S+)', text)
        counts.append(sum(float(value) for value in found))
    return counts[0], counts[1]


def run(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "100"}
    return subprocess.run(
        [SUB50, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        env=environment,
    )


def test_the_command_line_asks_the_service(stack: Stack, tmp_path: Path) -> None:
    shown = run("classify", "A wonderful film.", "--url", stack.url)
    assert shown.returncode == 0, shown.stderr
    assert "positive" in shown.stdout
    piped = run("classify", "-", "--url", stack.url, "--json", stdin="A dull, wasted evening.")
    assert json.loads(piped.stdout)["results"][0]["label"] == "negative"
    path = tmp_path / "contract.txt"
    path.write_text(CONTRACT, encoding="utf-8")
    summary = run("summarize", str(path), "--model", "contracts", "--url", stack.url)
    assert "of " in summary.stdout
    missing = run("summarize", str(tmp_path / "none.txt"), "--url", stack.url)
    assert missing.returncode == 1
    assert "none.txt" in missing.stderr
    nobody = run("classify", "x", "--url", f"http://127.0.0.1:{free_port()}")
    assert nobody.returncode == 1
    assert "sub50 serve" in nobody.stderr


def test_who_asks_for_a_websocket_is_answered_too(stack: Stack) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x"}
    connection = http.client.HTTPConnection(stack.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/livez", headers=headers)
    with closing(connection), connection.getresponse() as response:
        assert response.status == 200


def test_engines_are_listed() -> None:
    listed = run("engines", "list")
    assert listed.returncode == 0, listed.stderr
    assert all(model in listed.stdout for model in MODELS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(number: int) -> None:
    regions = shared_memory()
    other = Stack(free_port())
    try:
        other.wait_until_ready()
        below = other.descendants()
        assert len(below) >= 5
        status, output = other.end(number)
    finally:
        other.process.kill()
    assert status == 0, output
    assert "stopped" in output
    assert still_running(below) == set()
    assert shared_memory() <= regions


def test_a_busy_port_is_named_at_once(stack: Stack) -> None:
    port = stack.url.rpartition(":")[2]
    begun = time.monotonic()
    failed = run("serve", "--port", port)
    assert failed.returncode == 1
    assert port in failed.stderr
    assert "--port" in failed.stderr
    assert time.monotonic() - begun < 10


def test_a_repository_without_models_is_an_error(tmp_path: Path) -> None:
    failed = run("serve", "--port", "0", "--repository", str(tmp_path))
    assert failed.returncode == 1
    assert "sub50 engines build" in failed.stderr


def test_the_api_alone_says_where_triton_should_be() -> None:
    failed = run("api", "--port", "0")
    assert failed.returncode == 1
    assert "--triton" in failed.stderr

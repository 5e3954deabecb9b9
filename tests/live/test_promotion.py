"""Promotions with the real embedded Triton, under an open-loop load: no request is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.promote_under_load import make_candidate
from core.card import ENGINE_FILE, read_card, write_card
from core.versions import read_served
from engines.checksums import file_sha256
from tests.live.test_stack import ROOT, SUB50, Stack, free_port

pytestmark = pytest.mark.live

BUILT = ROOT / "model_repository" / "sentiment"
RATE = 50
TEXTS = [
    "A gripping story, and not a minute too long.",
    "Dull, and far too long. A waste of time.",
    "The acting is superb, although the last half hour could have lost a few of its scenes.",
    "I want my money back.",
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    assert (BUILT / "1" / ENGINE_FILE).is_file(), "sentiment is not built; run `make setup`"
    folder = tmp_path / "models" / "sentiment"
    shutil.copytree(BUILT / "1", folder / "1")
    for name in ("config.pbtxt", "labels.txt"):
        shutil.copy(BUILT / name, folder)
    return tmp_path / "models"


@pytest.fixture
def candidate(repository: Path, tmp_path: Path) -> Path:
    make_candidate(repository / "sentiment" / "1", tmp_path / "candidate")
    return tmp_path / "candidate"


@pytest.fixture
def stack(repository: Path) -> Iterator[Stack]:
    running = start(repository)
    yield running
    running.end()


def start(repository: Path) -> Stack:
    running = Stack(free_port(), "--repository", str(repository))
    running.wait_until_ready()
    return running


def engines(*arguments: str, repository: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SUB50, "engines", *arguments, "--json", "--repository", str(repository)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )


def result_of(command: subprocess.Popen[str]) -> dict[str, Any]:
    output, errors = command.communicate(timeout=120)
    assert command.returncode == 0, errors
    found: dict[str, Any] = json.loads(output)
    return found


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def serves(repository: Path) -> str:
    state = read_served(repository / "sentiment")
    return state.version if state else "1"


def stubs(stack: Stack) -> set[int]:
    """Processes that run engines; Triton starts each through a shell of its own."""
    found = set()
    for pid in stack.descendants():
        try:
            name = Path(f"/proc/{pid}/exe").readlink().name
        except OSError:
            continue
        if name == "triton_python_backend_stub":
            found.add(pid)
    return found


@dataclass(frozen=True)
class Answered:
    sent: float
    status: int
    version: str
    text: int
    score: float


class Load:
    """Requests at a steady rate, whether or not earlier ones were answered."""

    def __init__(self, url: str, texts: Sequence[str] = TEXTS) -> None:
        self.url = url
        self.texts = texts
        self.answers: list[Answered] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        with ThreadPoolExecutor(64) as pool:
            number = 0
            while not self._stop.is_set():
                time.sleep(max(0.0, begun + number / RATE - time.monotonic()))
                pool.submit(self._ask, number % len(self.texts))
                number += 1

    def _ask(self, text: int) -> None:
        sent = time.monotonic()
        try:
            answer = classify(self.url, self.texts[text])
        except urllib.error.HTTPError as error:
            self.answers.append(Answered(sent, error.code, "", text, 0.0))
            error.close()
        except OSError:
            self.answers.append(Answered(sent, 0, "", text, 0.0))
        else:
            score = positive(answer)
            self.answers.append(Answered(sent, 200, answer["version"], text, score))


def classify(url: str, text: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/v1/classify", json.dumps({"input": text}).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
    return answer


def positive(answer: dict[str, Any]) -> float:
    (score,) = [s["score"] for s in answer["results"][0]["scores"] if s["label"] == "positive"]
    return float(score)


def test_no_request_is_lost_while_versions_change(
    stack: Stack, repository: Path, candidate: Path
) -> None:
    alone = {"1": [positive(classify(stack.url, text)) for text in TEXTS]}
    before = stubs(stack)
    with Load(stack.url) as load:
        time.sleep(1)
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        until(lambda: serves(repository) == "2")
        assert before <= stubs(stack), "the engine that served was not touched"
        promoted = result_of(command)
        until(lambda: not before & stubs(stack))
        alone["2"] = [positive(classify(stack.url, text)) for text in TEXTS]
        rolled_back = time.monotonic()
        assert result_of(engines("rollback", "sentiment", repository=repository))["version"] == "1"
        time.sleep(1)
    assert promoted["version"] == "2"
    assert promoted["golden"]["labels_compared"] > 0
    # A refusal is no failure: it was told so at once.
    assert {answer.status for answer in load.answers} <= {200, 429}
    served = sorted((a for a in load.answers if a.status == 200), key=lambda a: a.sent)
    assert len(served) > 5 * RATE
    first_two = next(i for i, answer in enumerate(served) if answer.version == "2")
    last_two = max(i for i, answer in enumerate(served) if answer.version == "2")
    assert served[last_two].sent > rolled_back
    # Requests sent within a moment of a switch may be read in another order.
    odd = sum(a.version != "2" for a in served[first_two:last_two])
    assert odd <= 5
    for answer in served:
        assert answer.score == pytest.approx(alone[answer.version][answer.text], abs=2e-3)
    assert all(abs(a - b) > 4e-3 for a, b in zip(alone["1"], alone["2"], strict=True))


def test_an_engine_that_cannot_be_loaded_changes_nothing(
    stack: Stack, repository: Path, candidate: Path
) -> None:
    (candidate / ENGINE_FILE).write_bytes(b"not a graph")
    sums = {"engine_sha256": file_sha256(candidate / ENGINE_FILE)}
    write_card(read_card(candidate).model_copy(update=sums), candidate)
    before = stubs(stack)
    with Load(stack.url) as load:
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        _, errors = command.communicate(timeout=120)
    assert command.returncode == 1
    assert "model.onnx" in errors
    assert {answer.status for answer in load.answers} <= {200, 429}
    assert {answer.version for answer in load.answers if answer.status == 200} == {"1"}
    assert stubs(stack) == before
    assert not (repository / "sentiment" / "2").exists()
    assert stack.process.poll() is None


@pytest.mark.parametrize("moment", ["while it is loaded", "once it serves"])
def test_a_kill_in_the_middle_leaves_one_whole_version(
    repository: Path, candidate: Path, moment: str
) -> None:
    killed = start(repository)
    try:
        command = engines("promote", "sentiment", str(candidate), repository=repository)
        if moment == "once it serves":
            until(lambda: serves(repository) == "2")
        else:
            until(lambda: (repository / "sentiment" / "2").is_dir())
            time.sleep(0.1)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        _, errors = command.communicate(timeout=60)
    finally:
        killed.process.kill()
        killed.process.communicate()
    assert command.returncode == 1
    assert "sub50 engines list" in errors
    expected = "2" if moment == "once it serves" else "1"
    again = start(repository)
    try:
        answer = classify(again.url, TEXTS[0])
        assert (answer["version"], answer["results"][0]["label"]) == (expected, "positive")
        verb = ("rollback", "sentiment") if expected == "2" else ("promote", "sentiment", "2")
        other = result_of(engines(*verb, repository=repository))["version"]
        assert other != expected
        assert classify(again.url, TEXTS[0])["version"] == other
    finally:
        again.end()

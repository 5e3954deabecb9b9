"""The peers as they are started for the comparison: real servers over the built engine."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from benchmarks.one_client import measure as measure_one_client
from core.tokenizer import TextTokenizer
from engines.measure import answers_alone, open_session
from loadtest.peers import servers
from loadtest.peers.bench import served_runtime
from loadtest.peers.engine import DEFAULT_MODEL, Engine
from loadtest.peers.servers import (
    HANDWRITTEN,
    LITSERVE,
    OURS,
    PeerError,
    Server,
    running,
)

ENGINE = DEFAULT_MODEL / "1"
TEXTS = [
    "A gripping story, and not a minute too long.",
    "Dull.",
    "The second half drags, the songs are weak, and " * 12 + "still I would see it again.",
]

pytestmark = pytest.mark.skipif(
    not (ENGINE / "model.onnx").is_file(),
    reason=f"{ENGINE}/model.onnx is not built: run `sub50 engines build`",
)
needs_litserve = pytest.mark.skipif(
    importlib.util.find_spec("litserve") is None,
    reason="LitServe is not installed: pip install 'sub50[peers]'",
)


@pytest.fixture(scope="module")
def expected() -> list[tuple[str, float]]:
    """Label and score of each text, as the project's own code gets them in process."""
    rows = [tokens.ids for tokens in TextTokenizer(ENGINE / "tokenizer.json").encode(TEXTS)]
    scores = answers_alone(open_session(ENGINE / "model.onnx"), rows)
    labels = (DEFAULT_MODEL / "labels.txt").read_text(encoding="utf-8").split()
    return [(labels[int(row.argmax())], float(row.max())) for row in scores]


def ask(url: str, text: str) -> tuple[str, float]:
    body = json.dumps({"input": text, "model": "sentiment"}).encode()
    request = urllib.request.Request(
        url + "/v1/classify", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        (result,) = json.loads(response.read())["results"]
    return result["label"], result["score"]


@pytest.mark.parametrize(
    ("server", "options"),
    [
        (HANDWRITTEN, ()),
        (HANDWRITTEN, ("--mode", "inline", "--workers", "2")),
        pytest.param(LITSERVE, (), marks=needs_litserve),
        pytest.param(LITSERVE, ("--max-batch-size", "1"), marks=needs_litserve),
    ],
)
def test_a_peer_answers_like_the_engine_in_process(
    server: Server, options: tuple[str, ...], expected: list[tuple[str, float]]
) -> None:
    with running(server, *options) as url:
        answers = [ask(url, text) for text in TEXTS]
        times_ms, stages_ms, tokens = measure_one_client(url, 5, TEXTS[:1])
    assert [label for label, _ in answers] == [label for label, _ in expected]
    np.testing.assert_allclose(
        [score for _, score in answers], [score for _, score in expected], atol=2e-3
    )
    assert len(times_ms) == 5
    assert stages_ms == {}
    assert tokens == 13


def test_a_batch_answers_like_its_texts_alone(expected: list[tuple[str, float]]) -> None:
    answers = Engine(DEFAULT_MODEL, threads=1).classify(TEXTS)
    assert [answer.label for answer in answers] == [label for label, _ in expected]
    np.testing.assert_allclose(
        [answer.score for answer in answers], [score for _, score in expected], atol=2e-3
    )


def test_an_engine_that_is_not_built_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="sub50 engines build"):
        Engine(tmp_path, threads=1)


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its workers are started again and again, so it is waited for to the end.
    monkeypatch.setattr(servers, "START_SECONDS", 10)
    with (
        pytest.raises(PeerError, match=r"(?s)handwritten did not start.*model\.onnx is missing"),
        running(HANDWRITTEN, "--model", str(tmp_path)),
    ):
        pytest.fail("it started")


def test_nothing_of_a_server_is_left_running() -> None:
    with running(HANDWRITTEN, "--workers", "2") as url:
        port = url.rpartition(":")[2]
        assert processes_naming(port)
    assert not processes_naming(port)


def processes_naming(port: str) -> list[str]:
    """Processes with this port on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if port in words and int(path.parent.name) != os.getpid():
            found.append(path.parent.name)
    return found


def test_a_peer_whose_package_is_missing_says_how_to_get_it() -> None:
    absent = Server("absent", (sys.executable,), needs="no_such_module_here")
    assert "pip install 'sub50[peers]'" in (absent.missing() or "")
    assert OURS.missing() is None


def test_the_served_runtime_is_read_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.pbtxt").write_text('name: "sentiment"\nbackend: "openvino"\n')
    assert served_runtime(tmp_path) == "openvino"
    (tmp_path / "config.pbtxt").write_text('name: "sentiment"\n')
    with pytest.raises(PeerError, match="no backend"):
        served_runtime(tmp_path)


def test_sigterm_to_the_comparison_stops_the_server_that_it_measures() -> None:
    options = ["--server", "handwritten", "--kind", "sentence", "--engine-seconds", "0.05"]
    bench = subprocess.Popen(
        [sys.executable, "-m", "loadtest.peers.bench", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    peer = "loadtest.peers.handwritten"
    found: list[int] = []
    deadline = time.monotonic() + 60
    while not found and time.monotonic() < deadline:
        found = [pid for pid in children_of(bench.pid) if peer in command_of(pid)]
        time.sleep(0.1)
    assert found
    bench.terminate()
    assert bench.wait(timeout=40) == 128 + signal.SIGTERM
    assert peer not in command_of(found[0])


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""

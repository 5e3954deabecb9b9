"""What the pods of a cluster run, run here: the init step, then the API over a Triton."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.triton.server import EmbeddedTriton
from tests.deploy.manifests import (
    Object,
    environment,
    main_container,
    named,
    pod_of,
    rendered,
)
from tests.deploy.running import free_port
from tests.live.test_stack import ROOT, SUB50

pytestmark = pytest.mark.live
READY_SECONDS = 30.0
BUILT = ROOT / "model_repository" / "sentiment"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the engines' image, and beside them the list of their checksums."""
    if not (BUILT / "1" / "model.onnx").is_file():
        pytest.skip("sentiment is not built: `sub50 engines build sentiment`")
    folder = tmp_path_factory.mktemp("image")
    models = folder / "models" / "sentiment"
    (models / "1").mkdir(parents=True)
    for name in ("config.pbtxt", "labels.txt", "1/card.json", "1/model.onnx", "1/tokenizer.json"):
        (models / name).symlink_to(BUILT / name)
    command = [SUB50, "engines", "checksums", "--repository", models.parent]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    (folder / "engines.sha256").write_text(listed.stdout)
    return folder


def deliver(pod: str, image: Path, volume: Path) -> subprocess.CompletedProcess[str]:
    """Run the init step of a pod, its paths and its processors put in."""
    (step,) = pod_of(named(rendered("cpu"), "Deployment", pod))["initContainers"]
    places = {
        "/models": str(image / "models"),
        "/delivered": str(volume),
        "--checksums=/etc/sub50/engines.sha256": f"--checksums={image / 'engines.sha256'}",
        "--cores=$(TRITON_CORES)": "--cores=2",
    }
    assert {"/models", "/delivered"} <= set(step["args"])
    arguments = [places.get(argument, argument) for argument in step["args"]]
    assert step["command"][0] == "sub50"
    command = [SUB50, *step["command"][1:], *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=image)


@pytest.fixture(scope="module")
def volumes(image: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What each pod is given, read-only."""
    found = {}
    for pod in ("sub50-api", "sub50-triton"):
        found[pod] = tmp_path_factory.mktemp(pod)
        done = deliver(pod, image, found[pod])
        assert done.returncode == 0, done.stderr
        for path in (found[pod], *found[pod].rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
    return found


@pytest.fixture
def triton(volumes: dict[str, Path]) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(volumes["sub50-triton"], grpc_port=0) as server:
        yield server


def start(container: Object, volume: Path, target: str, port: int) -> subprocess.Popen[str]:
    """The API's container as a process, on loopback."""
    here = {
        "SUB50_HOST": "127.0.0.1",
        "SUB50_PORT": str(port),
        "SUB50_REPOSITORY": str(volume),
        "SUB50_TRITON": target,
        # What it answers is looked at here, not how fast this machine is.
        "SUB50_INTERACTIVE_TIMEOUT_MS": "20000",
        # No proxy has to notice that it ends.
        "SUB50_DRAIN_SECONDS": "0",
    }
    command = [SUB50, *container["command"][1:]]
    variables = os.environ | environment(container) | here
    return subprocess.Popen(command, env=variables, text=True, stderr=subprocess.PIPE)


def test_a_pod_serves_what_was_delivered(volumes: dict[str, Path], triton: EmbeddedTriton) -> None:
    assert triton.configured.instances == {"sentiment": 2}
    container = main_container(named(rendered("cpu"), "Deployment", "sub50-api"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = start(container, volumes["sub50-api"], triton.grpc_target, port)
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert answers(process, url + container[probe]["httpGet"]["path"]), probe
        body = {"input": "A gripping story, and not a minute too long."}
        said = httpx2.post(f"{url}/v1/classify", json=body).json()
        assert said["results"][0]["label"] == "positive"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.communicate()


def answers(process: subprocess.Popen[str], url: str) -> bool:
    """Whether a probe's question is answered with 200 in time."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(url, timeout=5).status_code == 200:
                return True
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    return False


def test_a_pod_does_not_start_with_a_damaged_engine(image: Path, tmp_path: Path) -> None:
    engine = image / "models" / "sentiment" / "1" / "model.onnx"
    built = engine.readlink()
    damaged = bytearray(built.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    engine.unlink()
    engine.write_bytes(damaged)
    try:
        for pod in ("sub50-api", "sub50-triton"):
            done = deliver(pod, image, tmp_path)
            assert done.returncode == 1
            assert "sentiment/1/model.onnx is damaged or another file" in done.stderr
            assert list(tmp_path.iterdir()) == []
    finally:
        engine.unlink()
        engine.symlink_to(built)


def test_a_pod_does_not_start_as_committed(image: Path, tmp_path: Path) -> None:
    """Nothing is served before somebody said which engines are to be."""
    committed = ROOT / "deploy" / "kubernetes" / "overlays" / "cpu" / "engines.sha256"
    command = [SUB50, "engines", "deliver", image / "models", tmp_path, "--checksums", committed]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "lists no file; write it with `sub50 engines checksums" in done.stderr

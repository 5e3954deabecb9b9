"""The Dockerfile carried out, and what it makes run as its containers would be: `make prove-image`.

Every container here has a read-only root file system, a user that is not root, no capabilities and
no way to get any, and a process namespace of its own. What is missing of a container engine: its
own base image, seccomp and memory limits.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from service.triton.server import EmbeddedTriton
from tests.deploy.conftest import DEPLOY, ROOT, load
from tests.deploy.plain_image import Builder, Image, enter, make_base
from tests.deploy.running import answers, free_port, wait_for

pytestmark = pytest.mark.image

START_SECONDS = 90.0
STOP_SECONDS = 20.0
# One model shows what four would.
MODEL = "sentiment"


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
        reason = "needs root on Linux and `apt-get install mmdebstrap`"
        if os.environ.get("REQUIRE_IMAGE"):
            pytest.fail(reason)
        pytest.skip(reason)
    base = make_base(ROOT / "build" / "image-base")
    return Builder(ROOT, tmp_path_factory.mktemp("image"), base, MODELS=MODEL)


@pytest.fixture(scope="session")
def engines(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one model, as the engines' container makes it, without a network."""
    image = builder.make("engines")
    folder = tmp_path_factory.mktemp("models")
    os.chown(folder, 10001, 10001)
    words, outer = enter(
        image,
        [*image.program, MODEL],
        tmp_path_factory.mktemp("engines"),
        volumes={"/models": (folder, "rw")},
        network=False,
    )
    done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # Triton's container reads them as another user.
    assert all(path.stat().st_mode & 0o004 for path in folder.rglob("*"))
    return folder


@contextmanager
def container(
    image: Image,
    folder: Path,
    environment: Mapping[str, str],
    volumes: Mapping[str, tuple[Path, str]] | None = None,
    programs_in_tmp: bool = False,
) -> Iterator[int]:
    """The id of an image's first process while it runs; it has to end by SIGTERM, and well."""
    words, outer = enter(
        image,
        image.program,
        folder,
        volumes=volumes,
        environment=environment,
        programs_in_tmp=programs_in_tmp,
    )
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=outer, stdout=output, stderr=output)
    try:
        first = wait_for(lambda: first_process(process.pid), 10, lambda: "no process")
        url = f"http://127.0.0.1:{environment['SUB50_PORT']}"
        wait_for(
            lambda: answers(f"{url}/readyz") or process.poll() is not None,
            START_SECONDS,
            log.read_text,
        )
        assert process.poll() is None, log.read_text()
        yield first
        os.kill(first, signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 0, log.read_text()
    finally:
        process.kill()  # and with it all that it started: --kill-child
        process.wait()


def first_process(parent: int) -> int | None:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return int(children[0]) if children else None


def ask(port: int, route: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "X-Request-Timeout-Ms": "30000"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{route}", data, headers)
    with urllib.request.urlopen(request, timeout=40) as reply:
        return json.load(reply)


def status_of(process: int) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def within(image: Image, command: list[str], folder: Path, **environment: str) -> int:
    words, outer = enter(image, command, folder, environment=environment)
    done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr)
    return done.returncode


def check_answers(port: int) -> None:
    assert [model["name"] for model in ask(port, "/v1/models")["models"]] == [MODEL]
    answer = ask(port, "/v1/classify", {"input": "A gripping story, and not a minute too long."})
    assert answer["results"][0]["label"] == "positive"


def check_confined(process: int) -> None:
    status = status_of(process)
    assert status["Uid"].split() == ["10001"] * 4
    assert status["Gid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    # The program itself, and no shell before it: a signal to the container reaches it.
    assert status["Name"] == "sub50"


def test_the_api_answers_over_a_triton_elsewhere(
    builder: Builder, engines: Path, tmp_path: Path
) -> None:
    image, port = builder.make("api"), free_port()
    volumes = {"/models": (engines, "ro")}
    with EmbeddedTriton(engines, grpc_port=0) as triton:
        settings = {"SUB50_PORT": str(port), "SUB50_TRITON": triton.grpc_target}
        with container(image, tmp_path, settings, volumes) as process:
            check_confined(process)
            check_answers(port)
            check = list(image.healthcheck)
            assert within(image, check, tmp_path / "check", SUB50_PORT=str(port)) == 0
    assert within(image, check, tmp_path / "check", SUB50_PORT=str(port)) == 1


def test_all_in_one_answers_by_itself(builder: Builder, tmp_path: Path) -> None:
    image, port = builder.make("all-in-one"), free_port()
    settings = {"SUB50_PORT": str(port)}
    # The embedded Triton runs its backends from there.
    with container(image, tmp_path, settings, programs_in_tmp=True) as process:
        check_confined(process)
        check_answers(port)
        assert within(image, list(image.healthcheck), tmp_path / "c", SUB50_PORT=str(port)) == 0


def test_engines_are_delivered_for_a_gpu(builder: Builder, engines: Path, tmp_path: Path) -> None:
    """As `engines-gpu` and `engines-fp16` of compose.yaml do; whether a GPU then runs them is not
    shown."""
    folder = tmp_path / "delivered"
    folder.mkdir()
    os.chown(folder, 10001, 10001)
    image = builder.make("engines")
    for name in ("engines-gpu", "engines-fp16"):
        words, outer = enter(
            image,
            [*image.entrypoint, *load(DEPLOY / "compose.yaml")["services"][name]["command"]],
            tmp_path / name,
            volumes={"/models": (engines, "ro"), "/delivered": (folder, "rw")},
            network=False,
        )
        done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    config = (folder / MODEL / "config.pbtxt").read_text(encoding="utf-8")
    assert "KIND_GPU" in config
    assert "model.fp16.onnx" in config
    assert (folder / MODEL / "1/model.fp16.onnx").is_file()
    before, after = (path / MODEL / "1/model.onnx" for path in (engines, folder))
    assert before.read_bytes() == after.read_bytes()


def test_load_is_offered_and_judged(builder: Builder, engines: Path, tmp_path: Path) -> None:
    api, locust = builder.make("api"), builder.make("loadtest")
    port = free_port()
    with EmbeddedTriton(engines, grpc_port=0) as triton:
        settings = {"SUB50_PORT": str(port), "SUB50_TRITON": triton.grpc_target}
        with container(api, tmp_path / "api", settings, {"/models": (engines, "ro")}):
            options = ["--rate=5", "--duration=3", "--warm-up=1", "--texts=sentence"]
            host = f"--host=http://127.0.0.1:{port}"
            words, outer = enter(
                locust, [*locust.program, "--headless", host, *options], tmp_path / "load"
            )
            done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
    # Too short to judge: what counts is that requests were answered and the verdict says so.
    assert "INCONCLUSIVE" in done.stderr, done.stderr
    assert re.search(r"POST\s+sentence\s+[1-9]\d*\s+0\(", done.stderr), done.stderr


def test_nothing_of_the_program_can_be_written(builder: Builder, tmp_path: Path) -> None:
    image = builder.make("api")
    for path in ("/opt/sub50/x", "/models/x", "/etc/x", "/x"):
        assert within(image, ["sh", "-c", f"echo > {path}"], tmp_path) != 0
    assert within(image, ["sh", "-c", "echo > /tmp/x"], tmp_path) == 0


def test_the_images_hold_no_more_than_they_need(builder: Builder, tmp_path: Path) -> None:
    def has(name: str, module: str) -> bool:
        code = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        image, folder = builder.make(name), tmp_path / name
        return within(image, ["/opt/sub50/bin/python", "-c", code], folder) == 0

    assert all(has(name, "fastapi") for name in ("api", "engines", "loadtest", "all-in-one"))
    assert [n for n in ("api", "engines", "loadtest", "all-in-one") if has(n, "pytriton")] == [
        "all-in-one"
    ]
    assert not has("api", "onnxruntime")
    assert not any(has(name, "pip") for name in ("api", "engines", "loadtest", "all-in-one"))

"""What deploy/compose.yaml starts in containers of others, started here from Debian and PyPI."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.errors import ServeError
from service.triton.command import environment as triton_environment
from service.triton.command import make_scratch
from service.triton.installation import find_installation
from tests.deploy.conftest import DEPLOY, load
from tests.deploy.running import free_port, running
from tests.tiny_models import write_tiny_model

SERVICES: dict[str, dict[str, Any]] = load(DEPLOY / "compose.yaml")["services"]
PROMETHEUS = DEPLOY / "prometheus"


def with_ports(words: list[str], ports: dict[int, int]) -> list[str]:
    """A command of compose.yaml as a container sees it, with other ports."""
    text = json.dumps(words).replace("$$", "$")
    for inside, here in ports.items():
        text = re.sub(rf"\b{inside}\b", str(here), text)
    return list(json.loads(text))


def check(service: str, ports: dict[int, int], names: dict[str, str] | None = None) -> int:
    """The exit status of a service's healthcheck."""
    _, program, *words = with_ports(SERVICES[service]["healthcheck"]["test"], ports)
    command = [(names or {}).get(program, program), *words]
    return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode


@dataclass(frozen=True)
class Ports:
    """Where a Triton listens."""

    http: int
    grpc: int
    metrics: int


@contextmanager
def triton(folder: Path) -> Iterator[Ports]:
    """The embedded server, started with the command that compose.yaml gives to NVIDIA's."""
    installation = find_installation()
    repository = folder / "models"
    write_tiny_model(repository, "tiny")
    scratch = make_scratch(installation, repository)
    ports = Ports(free_port(), free_port(), free_port())
    shell, option, script = with_ports(
        SERVICES["triton"]["command"],
        {8000: ports.http, 8001: ports.grpc, 8002: ports.metrics},
    )
    script = script.replace("0.0.0.0", "127.0.0.1").replace("=/models", f"={scratch / 'models'}")
    program = f"{installation.server} --backend-directory={scratch / 'backends'}"
    assert script.startswith("exec tritonserver ")
    script = script.replace("exec tritonserver", f"exec {program}", 1)
    try:
        ready = f"http://127.0.0.1:{ports.http}/v2/health/ready"
        variables = triton_environment(installation, scratch)
        with running([shell, option, script], ready, folder, **variables):
            yield ports
    finally:
        shutil.rmtree(scratch)


@pytest.mark.live
def test_triton_takes_the_command_and_keeps_its_controls_closed(tmp_path: Path) -> None:
    try:
        find_installation()
    except ServeError as error:
        pytest.skip(f"no embedded Triton here: {error}")
    with triton(tmp_path) as ports:
        seen = {8000: ports.http}
        assert check("triton", seen) == 0
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.metrics}/metrics") as reply:
            # Prometheus 3 reads nothing whose type is not said.
            assert reply.headers.get_content_type() == "text/plain"
            assert b"nv_inference_count" in reply.read()
        with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            ready = stub.ModelReady(service_pb2.ModelReadyRequest(name="tiny"), timeout=5)
            assert ready.ready
            for closed, request in (
                (stub.SystemSharedMemoryStatus, service_pb2.SystemSharedMemoryStatusRequest()),
                (stub.RepositoryModelUnload, service_pb2.RepositoryModelUnloadRequest()),
                (stub.TraceSetting, service_pb2.TraceSettingRequest()),
                (stub.LogSettings, service_pb2.LogSettingsRequest()),
            ):
                with pytest.raises(grpc.RpcError, match="restricted"):
                    closed(request, timeout=5)
    assert check("triton", seen) != 0


def test_prometheus_takes_its_file_and_its_check(binaries: dict[str, str], tmp_path: Path) -> None:
    shutil.copytree(PROMETHEUS / "rules", tmp_path / "rules")
    shutil.copy(PROMETHEUS / "compose.yml", tmp_path / "prometheus.yml")
    port = free_port()
    path = {"/etc/prometheus": str(tmp_path), "=/prometheus": f"={tmp_path / 'data'}"}
    options = list(SERVICES["prometheus"]["command"])
    for inside, here in path.items():
        options = [option.replace(inside, here) for option in options]
    address = f"127.0.0.1:{port}"
    command = [binaries["prometheus"], *options, f"--web.listen-address={address}"]
    done = subprocess.run(
        [binaries["promtool"], "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with running(command, f"http://{address}/-/ready", tmp_path):
        assert check("prometheus", {9090: port}, binaries) == 0
        with urllib.request.urlopen(f"http://{address}/api/v1/rules") as reply:
            groups = json.load(reply)["data"]["groups"]
        assert sum(len(group["rules"]) for group in groups) > 20
    assert check("prometheus", {9090: port}, binaries) != 0


def test_alertmanager_takes_its_file_and_its_check(
    binaries: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    options = [
        option.replace("/etc/alertmanager", str(DEPLOY / "alertmanager")).replace(
            "=/alertmanager", f"={tmp_path}"
        )
        for option in SERVICES["alertmanager"]["command"]
    ]
    address = f"127.0.0.1:{port}"
    command = [binaries["alertmanager"], *options, f"--web.listen-address={address}"]
    with running(command, f"http://{address}/-/ready", tmp_path):
        assert check("alertmanager", {9093: port}, binaries) == 0
    assert check("alertmanager", {9093: port}, binaries) != 0


def test_prometheus_differs_from_that_of_one_machine_in_its_targets_alone() -> None:
    alone, composed = load(PROMETHEUS / "prometheus.yml"), load(PROMETHEUS / "compose.yml")
    names = {
        "127.0.0.1:8080": "api:8080",
        "127.0.0.1:8002": "triton:8002",
        "127.0.0.1:9093": "alertmanager:9093",
    }
    text = json.dumps(alone)
    for address, name in names.items():
        text = text.replace(address, name)
    expected = json.loads(text)
    jobs, more = (
        {job["job_name"]: job for job in config.pop("scrape_configs")}
        for config in (expected, composed)
    )
    assert composed == expected
    assert jobs.keys() <= more.keys() <= jobs.keys() | {"triton"}
    assert {name: more[name] for name in jobs} == jobs
    assert more["triton"]["static_configs"] == [{"targets": ["triton:8002"]}]

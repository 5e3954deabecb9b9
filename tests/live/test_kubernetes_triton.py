"""The arguments that Triton gets in a cluster, given to the real one here."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx2
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.triton.client import TritonClient
from service.triton.command import environment
from service.triton.installation import find_installation
from service.triton.ports import reserve_ports
from tests.deploy.manifests import main_container, named, rendered

pytestmark = pytest.mark.live
START_SECONDS = 30.0
AGE_MS = 1000


class Served:
    """A Triton without models, on ports of its own."""

    def __init__(self, process: subprocess.Popen[bytes], http_port: int, grpc_port: int) -> None:
        self.process = process
        self.http = f"http://127.0.0.1:{http_port}"
        self.grpc_port = grpc_port
        self.grpc = f"127.0.0.1:{grpc_port}"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Started as the cpu overlay says, but for ports, folder, and the age of connections."""
    installation = find_installation()
    scratch = tmp_path_factory.mktemp("scratch")
    models = tmp_path_factory.mktemp("models")
    ports = reserve_ports("127.0.0.1", {"http": 0, "grpc": 0, "metrics": 0})
    other = {
        "--model-repository=/models": f"--model-repository={models}",
        "--http-port=8000": f"--http-port={ports['http']}",
        "--grpc-port=8001": f"--grpc-port={ports['grpc']}",
        "--metrics-port=8002": f"--metrics-port={ports['metrics']}",
        "--grpc-max-connection-age=30000": f"--grpc-max-connection-age={AGE_MS}",
    }
    args = main_container(named(rendered("cpu"), "Deployment", "sub50-triton"))["args"]
    assert other.keys() <= set(args)
    given = [other.get(arg, arg).replace("$(POD_UID)", "a-pods-uid") for arg in args]
    loopback = [f"--{kind}-address=127.0.0.1" for kind in ("http", "grpc", "metrics")]
    log = (scratch / "log").open("wb")
    process = subprocess.Popen(
        [installation.server, *given, *loopback],
        env=environment(installation, scratch),
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    served = Served(process, ports["http"], ports["grpc"])
    try:
        wait_until_ready(served, scratch / "log")
        yield served
    finally:
        process.terminate()
        process.wait(timeout=30)
        log.close()


def wait_until_ready(served: Served, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert served.process.poll() is None, log.read_text(errors="replace")
        try:
            if httpx2.get(f"{served.http}/v2/health/ready").status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace"))


def test_http_is_for_probes_alone(triton: Served) -> None:
    assert httpx2.get(f"{triton.http}/v2/health/live").status_code == 200
    for path in ("/v2", "/v2/models/stats", "/v2/systemsharedmemory/status"):
        assert httpx2.get(f"{triton.http}{path}").status_code == 403, path
    assert httpx2.post(f"{triton.http}/v2/repository/index").status_code == 403
    assert httpx2.post(f"{triton.http}/v2/models/any/infer", json={}).status_code == 403


def test_triton_takes_no_orders(triton: Served) -> None:
    with grpc.insecure_channel(triton.grpc) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(service_pb2.ServerReadyRequest(), timeout=5).ready
        for method, request in (
            (stub.SystemSharedMemoryStatus, service_pb2.SystemSharedMemoryStatusRequest()),
            (stub.RepositoryModelLoad, service_pb2.RepositoryModelLoadRequest(model_name="any")),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                method(request, timeout=5)
            assert "restricted" in caught.value.details()


def connected_from(port: int) -> set[str]:
    """Our ends of the established connections to a port on 127.0.0.1."""
    # gRPC's sockets are of both families, and listed with the later one.
    tables = [Path(f"/proc/net/{table}").read_text() for table in ("tcp", "tcp6")]
    fields = [line.split() for table in tables for line in table.splitlines()[1:]]
    there, established = f"0100007F:{port:04X}", "01"
    return {
        local
        for _, local, remote, state, *_ in fields
        if remote.endswith(there) and state == established
    }


def test_connections_age_and_no_call_is_lost(triton: Served) -> None:
    """The client connects anew by itself; this is what has it ask for addresses again."""

    async def calls() -> tuple[int, int, set[str]]:
        client = TritonClient(f"ipv4:{triton.grpc}")
        answered = asked = 0
        ends: set[str] = set()
        end = time.monotonic() + 4 * AGE_MS / 1000
        while time.monotonic() < end:
            asked += 1
            answered += await client.live()
            ends |= connected_from(triton.grpc_port)
            await asyncio.sleep(0.005)
        await client.close()
        return asked, answered, ends

    asked, answered, ends = asyncio.run(calls())
    assert asked == answered
    assert asked > 50
    assert len(ends) >= 3

"""The embedded Triton's life: it starts whole or not at all, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from service.errors import ServeError
from service.triton import supervised
from service.triton.server import EmbeddedTriton
from service.triton.supervisor import STUB_DIED_STATUS, children_of
from tests.live.namespaces import unix_sockets
from tests.live.test_known_holes import listening
from tests.tiny_models import write_tiny_model

pytestmark = pytest.mark.live

REPOSITORY_ROOT = Path(__file__).parents[2]


def processes_naming(text: str) -> list[int]:
    """Process ids whose command line holds a text; the supervisor, Triton and stubs hold theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def runs(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def shared_memory(pid: int | None = None) -> set[str]:
    """Regions of the Tritons that this process, or another, has started."""
    return {path.name for path in Path("/dev/shm").glob(f"sub50-{pid or os.getpid()}-*")}


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of their own for the folders that Triton is started in."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def until(reached: Callable[[], bool], timeout_seconds: float = 15) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def start_fails(server: EmbeddedTriton) -> str:
    """Start it, expecting a refusal; returns the message after checking that nothing is left."""
    before = shared_memory()
    begun = time.monotonic()
    with pytest.raises(ServeError) as caught:
        server.start()
    assert time.monotonic() - begun < 15
    assert not server.alive
    assert shared_memory() == before
    folder = Path(tempfile.gettempdir())
    assert list(folder.iterdir()) == []
    assert processes_naming(str(folder)) == []
    return str(caught.value)


def test_start_and_stop_leave_nothing_behind(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    before = shared_memory()
    with EmbeddedTriton(tmp_path, log_path=tmp_path / "triton.log") as server:
        assert server.alive
        (scratch,) = {Path(f"/proc/{server.pid}/cwd").resolve()}
        assert len(processes_naming(str(scratch))) == 3  # supervisor, Triton, one stub
        assert shared_memory() > before
        # The one way to it leads through a folder of our own.
        assert listening(server.pid) == set()
        assert server.http_url is None
        assert server.metrics_url is None
        assert [f"unix:{path}" for path in unix_sockets(scratch)] == [server.grpc_target]
        assert stat.S_IMODE(scratch.stat().st_mode) == 0o700
    assert not server.alive
    assert processes_naming(str(scratch)) == []
    assert shared_memory() == before
    assert not scratch.exists()
    assert (tmp_path / "triton.log").exists()
    server.stop()  # a second time does no harm


def test_it_can_be_started_again(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    server = EmbeddedTriton(tmp_path)
    for _ in range(2):
        with server:
            assert server.alive
            with pytest.raises(RuntimeError, match="started already"):
                server.start()


def test_http_controls_are_refused(tiny_triton: EmbeddedTriton) -> None:
    for method, path in [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/tiny/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("POST", "/v2/trace/setting"),
        ("POST", "/v2/logging"),
    ]:
        request = urllib.request.Request(f"{tiny_triton.http_url}{path}", method=method, data=b"{}")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        caught.value.close()
        assert caught.value.code == 403, path


def test_grpc_controls_are_refused_without_the_token(tiny_triton: EmbeddedTriton) -> None:
    with grpc.insecure_channel(tiny_triton.grpc_target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for call, request in [
            (stub.RepositoryIndex, service_pb2.RepositoryIndexRequest()),
            (
                stub.RepositoryModelUnload,
                service_pb2.RepositoryModelUnloadRequest(model_name="tiny"),
            ),
            (stub.SystemSharedMemoryStatus, service_pb2.SystemSharedMemoryStatusRequest()),
            (stub.TraceSetting, service_pb2.TraceSettingRequest()),
            (stub.LogSettings, service_pb2.LogSettingsRequest()),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                call(request, timeout=5)
            assert "restricted" in caught.value.details()
        index = stub.RepositoryIndex(
            service_pb2.RepositoryIndexRequest(), metadata=tiny_triton.control_metadata, timeout=5
        )
        assert {model.name for model in index.models} == {"tiny", "slow", "ranked"}
        with pytest.raises(grpc.RpcError):  # our token opens model loading and nothing else
            stub.LogSettings(
                service_pb2.LogSettingsRequest(),
                metadata=tiny_triton.control_metadata,
                timeout=5,
            )


def test_busy_port_is_named(tiny_triton: EmbeddedTriton, tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    port = int(tiny_triton.grpc_target.split(":")[1])
    assert f"Port {port}" in start_fails(EmbeddedTriton(tmp_path, grpc_port=port))


def test_missing_engine_is_named(tmp_path: Path) -> None:
    (write_tiny_model(tmp_path) / "1" / "model.onnx").unlink()
    assert "sub50 engines build tiny" in start_fails(EmbeddedTriton(tmp_path))


def test_corrupt_engine_is_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "sound")
    engine = write_tiny_model(tmp_path, "broken") / "1" / "model.onnx"
    engine.write_bytes(b"not a graph")
    message = start_fails(EmbeddedTriton(tmp_path))
    assert f"Model broken cannot be served: {engine}: " in message
    assert "sub50 engines build broken" in message
    assert "sound" not in message


@pytest.mark.parametrize("name", ["logits", "token_type_ids"])
def test_engine_and_configuration_that_differ_are_told(tmp_path: Path, name: str) -> None:
    config = write_tiny_model(tmp_path) / "config.pbtxt"
    config.write_text(config.read_text().replace(f'"{name}"', '"another"'))
    message = start_fails(EmbeddedTriton(tmp_path))
    assert "another" in message
    assert name in message


def test_missing_stub_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_model(tmp_path)
    monkeypatch.setattr(sys, "version_info", (3, 99, 0, "final", 0))
    assert "no stub for Python 3.99" in start_fails(EmbeddedTriton(tmp_path))


def test_triton_that_does_not_come_up_in_time_is_ended(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    message = start_fails(EmbeddedTriton(tmp_path, start_timeout_seconds=0.05))
    assert "not ready in 0.05 s" in message
    assert "SUB50_TRITON_START_SECONDS" in message


def test_a_dead_stub_ends_triton_and_shows(tmp_path: Path) -> None:
    write_tiny_model(tmp_path, "one")
    write_tiny_model(tmp_path, "two")
    before = shared_memory()
    with EmbeddedTriton(tmp_path) as server:
        (triton,) = children_of(server.pid)
        stubs = list(children_of(triton))
        os.kill(stubs[0], signal.SIGKILL)
        until(lambda: not server.alive)
        assert server.poll() == STUB_DIED_STATUS
        assert "process of a model died" in server.log_path.read_text()
        assert not any(Path(f"/proc/{stub}").exists() for stub in stubs)
        assert shared_memory() == before


def test_stubborn_triton_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervised, "GRACE_SECONDS", 0.5)
    write_tiny_model(tmp_path)
    before = shared_memory()
    with EmbeddedTriton(tmp_path) as server:
        (triton,) = children_of(server.pid)
        stubs = list(children_of(triton))
        os.kill(triton, signal.SIGSTOP)
        begun = time.monotonic()
    assert time.monotonic() - begun < 5
    assert not any(Path(f"/proc/{pid}").exists() for pid in [triton, *stubs])
    assert shared_memory() == before


STARTER = """
import sys
from pathlib import Path
from service.triton.server import EmbeddedTriton
server = EmbeddedTriton(Path(sys.argv[1]))
server.start()
print(Path(f"/proc/{server.pid}/cwd").resolve(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.mark.parametrize("victim", ["parent", "supervisor"])
def test_nothing_outlives_a_killed_process(tmp_path: Path, victim: str) -> None:
    write_tiny_model(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)],
        cwd=REPOSITORY_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        scratch = parent.stdout.readline().strip()
        assert shared_memory(parent.pid)
        family = processes_naming(scratch)
        assert len(family) == 3
        (supervisor,) = (pid for pid in children_of(parent.pid) if pid in family)
        if victim == "parent":
            parent.kill()
            until(lambda: not processes_naming(scratch) and not Path(scratch).exists())
        else:
            (triton,) = children_of(supervisor)
            os.kill(supervisor, signal.SIGKILL)
            until(lambda: not runs(triton))
            assert parent.stdin is not None
            parent.stdin.close()  # it stops what is left of its server
            assert parent.wait(10) == 0
            until(lambda: not processes_naming(scratch))
        assert not shared_memory(parent.pid)
        assert not Path(scratch).exists()

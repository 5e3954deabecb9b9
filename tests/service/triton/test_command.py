"""What Triton is started with: closed to others, and told where everything lies."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from service.errors import ServeError
from service.triton.command import (
    LONGEST_TEMPORARY_FOLDER_BYTES,
    Launch,
    arguments,
    environment,
    make_scratch,
)
from service.triton.installation import Installation
from service.triton.ports import require_loopback


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    backend = tmp_path / "package" / "python"
    backend.mkdir(parents=True)
    for name in ("libtriton_python.so", "triton_python_backend_utils.py", "stub"):
        (backend / name).touch()
    library = tmp_path / "libpython3.11.so.1.0"
    library.touch()
    return Installation(
        server=tmp_path / "tritonserver",
        libraries=tmp_path / "libs",
        python_backend=backend,
        stub=backend / "stub",
        python_library=library,
    )


@pytest.fixture
def launch(installation: Installation, tmp_path: Path) -> Iterator[Launch]:
    repository = tmp_path / "model repository"
    repository.mkdir()
    scratch = make_scratch(installation, repository)
    yield Launch(grpc_port=1, metrics_port=2, http_port=3, scratch=scratch)
    shutil.rmtree(scratch)


@pytest.fixture
def closed(launch: Launch) -> Launch:
    return replace(launch, grpc_port=None, metrics_port=None, http_port=None)


def test_every_endpoint_is_on_loopback(installation: Installation, launch: Launch) -> None:
    command = arguments(installation, launch)
    for number, endpoint in enumerate(("grpc", "metrics", "http"), 1):
        assert f"--{endpoint}-address=127.0.0.1" in command
        assert f"--{endpoint}-port={number}" in command
    assert launch.grpc_target == "127.0.0.1:1"


def test_without_ports_nothing_but_a_socket_in_the_scratch_leads_to_it(
    installation: Installation, closed: Launch
) -> None:
    command = arguments(installation, closed)
    assert not any("127.0.0.1" in argument for argument in command)
    assert {"--allow-http=false", "--allow-metrics=false"} <= set(command)
    ports = [argument for argument in command if "-port=" in argument]
    assert ports == ["--grpc-port=0"]
    assert f"--grpc-address=unix:{closed.scratch}/grpc" in command
    assert closed.grpc_target == f"unix:{closed.scratch}/grpc:0"
    assert closed.scratch.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("more", "is_used"), [(0, True), (1, False)])
def test_a_temporary_folder_too_deep_for_the_socket_is_passed_over(
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: int,
    is_used: bool,
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        rest = LONGEST_TEMPORARY_FOLDER_BYTES - len(folder) - 1 + more
        base = Path(folder) / ("x" * rest)
        base.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(base))
        scratch = make_scratch(installation, tmp_path)
        try:
            assert (scratch.parent == base) == is_used
            launch = Launch(grpc_port=None, metrics_port=None, http_port=None, scratch=scratch)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(launch.grpc_target.removeprefix("unix:"))
        finally:
            shutil.rmtree(scratch)


def test_an_address_and_an_age_are_told(installation: Installation, launch: Launch) -> None:
    assert not any("connection-age" in argument for argument in arguments(installation, launch))
    other = replace(launch, address="127.0.0.2", connection_age_ms=1500)
    command = arguments(installation, other)
    for endpoint in ("grpc", "http", "metrics"):
        assert f"--{endpoint}-address=127.0.0.2" in command
    assert "--grpc-max-connection-age=1500" in command


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.0.9"])
def test_any_address_of_loopback_will_do(address: str) -> None:
    require_loopback(address, "--host")


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.0.1", "localhost", "::1", ""])
def test_an_address_that_others_reach_is_refused_by_name(address: str) -> None:
    with pytest.raises(ServeError, match=r"--host .* from 127\.0\.0\.1"):
        require_loopback(address, "--host")


def test_controls_are_restricted_and_only_model_loading_has_a_known_token(
    installation: Installation, launch: Launch
) -> None:
    command = arguments(installation, launch)
    for option in ("--grpc-restricted-protocol", "--http-restricted-api"):
        rules = [argument for argument in command if argument.startswith(option)]
        assert len(rules) == 2
        (loading,) = (rule for rule in rules if "model-repository" in rule)
        (rest,) = (rule for rule in rules if "model-repository" not in rule)
        assert loading.endswith(launch.control_token)
        assert "shared-memory,trace,logging:" in rest
        assert launch.control_token not in rest


def test_no_model_is_loaded_before_it_is_asked_for(
    installation: Installation, launch: Launch
) -> None:
    command = arguments(installation, launch)
    assert "--model-control-mode=explicit" in command
    assert not any(argument.startswith("--load-model") for argument in command)


def test_two_launches_share_no_name_and_no_token(launch: Launch) -> None:
    other = Launch(grpc_port=1, metrics_port=2, http_port=None, scratch=launch.scratch)
    assert other.shared_memory_prefix != launch.shared_memory_prefix
    assert other.control_token != launch.control_token


def test_environment_holds_no_secret_of_ours(
    installation: Installation, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUB50_API_KEYS", '["hush"]')
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/own")
    variables = environment(installation, launch.scratch)
    assert "hush" not in str(variables)
    assert variables["LD_LIBRARY_PATH"].split(":") == [
        str(launch.scratch / "libraries"),
        str(installation.libraries),
        "/opt/own",
    ]


def test_scratch_leads_to_the_models_by_a_path_without_special_characters(
    installation: Installation, launch: Launch, tmp_path: Path
) -> None:
    assert (launch.scratch / "models").resolve() == tmp_path / "model repository"
    assert " " not in str(launch.scratch)
    assert (launch.scratch / "backends" / "onnxruntime" / "model.py").is_file()
    for backend in ("onnxruntime", "openvino"):
        laid = {path.name for path in (launch.scratch / "backends" / backend).iterdir()}
        assert laid == {
            "model.py",
            "sub50_aside.py",
            "sub50_batches.py",
            "sub50_cuda.py",
            "sub50_runs.py",
            "sub50_verified.py",
        }
    # Triton refuses a backend library that is a link.
    library = launch.scratch / "backends" / "python" / "libtriton_python.so"
    assert library.is_file()
    assert not library.is_symlink()


def test_without_openvino_the_rest_is_laid_out_all_the_same(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    scratch = make_scratch(installation, tmp_path)
    try:
        python = scratch / "python" / "bin" / "python3"
        code = "import numpy, onnxruntime"
        subprocess.run([python, "-I", "-c", code], check=True, env={})
    finally:
        shutil.rmtree(scratch)


def test_python_of_the_scratch_sees_the_packages_in_isolated_mode(launch: Launch) -> None:
    python = launch.scratch / "python" / "bin" / "python3"
    code = "import numpy, onnxruntime, sys; print(sys.prefix)"
    result = subprocess.run(
        [python, "-I", "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert result.stdout.strip() == str(launch.scratch / "python")


def test_a_temporary_folder_that_fills_up_is_named_and_nothing_is_left(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "tmp"
    base.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    copy = shutil.copy

    def fill(source: Path, target: Path) -> None:
        if source == installation.stub:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        copy(source, target)

    monkeypatch.setattr(shutil, "copy", fill)
    with pytest.raises(ServeError, match=rf"{base}: No space left.*TMPDIR"):
        make_scratch(installation, tmp_path)
    assert list(base.iterdir()) == []


def test_no_temporary_folder_at_all_is_told(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "none")])
    with pytest.raises(ServeError, match=r"No usable temporary directory.*none.*TMPDIR"):
        make_scratch(installation, tmp_path)

"""The socket over which commands reach a service: who has it, and what it survives."""

from __future__ import annotations

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.control import SOCKET_FILE, ControlError, tell
from service.control import control_socket
from tests.service.conftest import StartService, write_repository


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_repository(tmp_path / "models")
    return tmp_path / "models"


def test_a_killed_service_leaves_a_socket_that_is_no_service(folder: Path, tmp_path: Path) -> None:
    with control_socket(folder) as control:
        assert control is not None
        os.link(folder / SOCKET_FILE, tmp_path / "kept")
    os.link(tmp_path / "kept", folder / SOCKET_FILE)
    assert tell(folder, {}) is None
    with control_socket(folder) as control:
        assert control is not None


def test_a_second_service_has_no_socket_and_the_first_keeps_its_own(folder: Path) -> None:
    with control_socket(folder) as first:
        with control_socket(folder) as second:
            assert first is not None
            assert second is None
        assert (folder / SOCKET_FILE).stat().st_mode & 0o777 == 0o600
    assert not (folder / SOCKET_FILE).exists()


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    with control_socket(folder) as control:
        assert control is not None


def test_a_service_that_ends_meanwhile_is_told(folder: Path) -> None:
    with control_socket(folder) as control, ThreadPoolExecutor(1) as pool:
        assert control is not None

        def hang_up() -> None:
            connection, _ = control.accept()
            connection.close()

        ended = pool.submit(hang_up)
        with pytest.raises(ControlError, match=r"ended before it answered|did not answer"):
            tell(folder, {"do": "rollback", "model": "sentiment"})
        ended.result()


@pytest.mark.parametrize(
    "line",
    [b"\n", b"{}\n", b'{"do": "stop", "model": "x"}\n', b"\xff\n", b"x" * 70_000 + b"\n"],
    ids=["nothing", "empty", "unknown", "no UTF-8", "too long"],
)
def test_what_the_service_does_not_understand_it_says_so(
    start_service: StartService, folder: Path, line: bytes
) -> None:
    service = start_service(0.1, repository=folder)
    with socket.socket(socket.AF_UNIX) as connection:
        descriptor = os.open(folder, os.O_RDONLY)
        connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET_FILE}")
        os.close(descriptor)
        connection.sendall(line)
        received = connection.recv(65536)
    assert json.loads(received)["ok"] is False
    assert service.client.get("/livez").status_code == 200


def test_an_unknown_model_is_told(start_service: StartService, folder: Path) -> None:
    start_service(0.1, repository=folder)
    answer = tell(folder, {"do": "rollback", "model": "nonsense"})
    assert answer is not None
    assert answer["ok"] is False
    assert "sentiment" in answer["error"]

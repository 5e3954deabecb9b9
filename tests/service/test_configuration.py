"""Bad configuration: one line that names the setting and what to do, and never a secret."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from service.configuration import OTHER_VARIABLES, read_settings
from service.errors import ServeError
from service.keys.store import KeyStore
from service.run import listen
from service.settings import Settings

ROOT = Path(__file__).parent.parent.parent
SECRET = "hunter2-do-not-tell"


def failure(**given: object) -> str:
    with pytest.raises(ServeError) as caught:
        read_settings(given)
    message = str(caught.value)
    assert SECRET not in message
    return message


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SUB50_PROT", "SUB50_PORT"),
        ("SUB50_INTERACTIVE_TIMEOUT", "SUB50_INTERACTIVE_TIMEOUT_MS"),
        ("sub50_api_key_file", "SUB50_API_KEYS_FILE"),
        ("SUB50_ZZZZZZZZZZZZZZ", None),
    ],
)
def test_an_unknown_variable_is_named_with_the_nearest(
    name: str, nearest: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    message = failure()
    assert name in message
    assert ("meant" in message) == (nearest is not None)
    assert nearest is None or f"is {nearest} meant" in message


def test_variables_of_other_commands_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    read = subprocess.run(
        ["grep", "-rhoE", "SUB50_[A-Z0-9_]+", "core", "engines", "loadtest", "service"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    links = {"SUB50_TRITON_SERVICE_HOST"}  # in a comment on what Kubernetes sets
    for name in {*read.stdout.split(), *OTHER_VARIABLES} - links:
        if name.removeprefix("SUB50_").lower() not in Settings.model_fields:
            monkeypatch.setenv(name, "x")
    read_settings({})


def test_what_kubernetes_sets_for_a_service_is_no_unknown_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = "10.0.0.7"
    for name, value in {
        "SUB50_TRITON_SERVICE_HOST": address,
        "SUB50_TRITON_SERVICE_PORT": "8001",
        "SUB50_TRITON_SERVICE_PORT_GRPC": "8001",
        "SUB50_TRITON_PORT": f"tcp://{address}:8001",
        "SUB50_TRITON_PORT_8001_TCP": f"tcp://{address}:8001",
        "SUB50_TRITON_PORT_8001_TCP_PROTO": "tcp",
    }.items():
        monkeypatch.setenv(name, value)
    read_settings({})
    monkeypatch.setenv("SUB50_PORT", f"tcp://{address}:80")
    assert "enableServiceLinks: false" in failure()
    monkeypatch.delenv("SUB50_PORT")
    monkeypatch.delenv("SUB50_TRITON_SERVICE_HOST")
    assert "SUB50_TRITON_PORT is no setting" in failure()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("port", "99999", "'99999'"),
        ("max_inputs", "0", "'0'"),
        ("log_level", "loud", "'loud'"),
        ("triton", "http://triton:8001", "dns:///triton:8001"),
        ("api_keys", SECRET, "not valid JSON"),
        ("api_keys", f'{{"a": "{SECRET}"}}', "not shown"),
        ("api_keys", f'["{SECRET}", 5]', "not shown"),
        ("api_keys", f'["{SECRET}", ""]', "let everybody in"),
        ("api_keys", f'["ana {SECRET}"]', "entry 1 is no key"),
        ("api_keys", f'["{SECRET}", "{SECRET}"]', "entry 2 has the key of entry 1"),
        ("key_requests_per_second", "0", "'0'"),
        ("api_keys_file", "/nowhere/keys", "cannot be read (No such file"),
    ],
)
def test_a_wrong_value_is_named_with_its_setting(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"SUB50_{name.upper()}", value)
    message = failure()
    assert f"setting {name} (SUB50_{name.upper()})" in message
    assert told in message


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "keys"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_keys_of_a_file_count_beside_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file(tmp_path, b"# ours\n\n  first \r\nhunter2\n")
    monkeypatch.setenv("SUB50_API_KEYS", '["zeroth"]')
    settings = read_settings({"api_keys_file": str(path)})
    callers = KeyStore(settings).callers
    assert len(callers) == 3
    assert all(callers.find(key) for key in ("zeroth", "first", "hunter2"))
    assert "zeroth" not in repr(settings)


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (b"", 0o600, "holds no key"),
        (b"# nothing\n", 0o600, "holds no key"),
        (SECRET.encode() + b"\ntwo words\n", 0o600, "line 2 is no key"),
        (SECRET.encode() + b"\nschl\xc3\xbcssel\n", 0o600, "line 2 is no key"),
        (SECRET.encode() * 100_000, 0o600, "over a megabyte"),
        (SECRET.encode(), 0o644, "every user of this machine may read it"),
        (SECRET.encode(), 0o620, "may change it"),
        (SECRET.encode(), 0o602, "may change it"),
    ],
)
def test_a_file_of_keys_that_is_none(tmp_path: Path, content: bytes, mode: int, told: str) -> None:
    path = key_file(tmp_path, content, mode)
    message = failure(api_keys_file=str(path))
    assert "SUB50_API_KEYS_FILE" in message
    assert str(path) in message
    assert told in message


def test_a_secret_that_is_mounted_for_us_may_be_readable_to_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = key_file(tmp_path, SECRET.encode(), 0o444)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert KeyStore(read_settings({"api_keys_file": str(path)})).callers.find(SECRET)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_of_keys_that_may_not_be_read(tmp_path: Path) -> None:
    path = key_file(tmp_path, SECRET.encode(), 0o000)
    assert "Permission denied" in failure(api_keys_file=str(path))


def test_a_taken_port_and_a_strange_address_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ServeError, match=f"127.0.0.1:{port}: Address.*SUB50_PORT"):
            listen(Settings(port=port))
    with pytest.raises(ServeError, match="SUB50_HOST") as caught:
        listen(Settings(host="192.0.2.1", port=0))
    assert not re.search("SUB50_PORT", str(caught.value))

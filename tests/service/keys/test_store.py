"""Files of keys that change: what counts, from when on, and what is said of a broken one."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from service.errors import ServeError
from service.keys.line import line_of
from service.keys.store import KeyStore
from service.settings import Settings


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    path.chmod(0o600)
    return path


def store_of(path: Path, **settings: Any) -> KeyStore:
    return KeyStore(Settings(api_keys_file=path, **settings))


def settle(store: KeyStore) -> bool:
    """Poll until what is there counts; whether it changed anything."""
    first = store.poll()
    assert not first  # one reading alone never counts
    changed = store.poll()
    if changed:
        store.take_over()
    return changed


def opens(store: KeyStore, *keys: str) -> list[bool]:
    return [store.callers.find(key) is not None for key in keys]


def test_keys_are_added_and_removed(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    store = store_of(path)
    assert opens(store, "a", "b") == [True, False]
    write(path, line_of("ana", "a"), line_of("bob", "b"))
    assert settle(store)
    assert opens(store, "a", "b") == [True, True]
    write(path, line_of("bob", "b"))
    assert settle(store)
    assert opens(store, "a", "b") == [False, True]
    assert not store.poll()


def test_what_changes_between_two_readings_waits(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    store = store_of(path)
    for i in range(5):
        write(path, line_of("ana", f"half-written-{i}"))
        assert not store.poll()
    assert store.poll()


def test_a_change_of_same_size_within_the_same_time_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    store = store_of(path)
    before = path.stat()
    write(path, line_of("ana", "b"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert settle(store)
    assert opens(store, "a", "b") == [False, True]


def test_a_secret_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    """keys -> ..data/keys, ..data -> a folder of the time; a change swaps ..data by a rename."""
    for folder, key in (("..2026_1", "a"), ("..2026_2", "b")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "keys", line_of("ana", key))
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "keys").symlink_to("..data/keys")
    store = store_of(tmp_path / "keys")
    assert opens(store, "a", "b") == [True, False]
    (tmp_path / "..data_tmp").symlink_to("..2026_2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert settle(store)
    assert opens(store, "a", "b") == [False, True]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("", "holds no key"),
        ("# all gone\n", "holds no key"),
        ("bob sha256:12", "line 1 is no key"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_broken_file_leaves_the_keys_of_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, broken: str | None, told: str
) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    store = store_of(path)
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken)
    with caplog.at_level(logging.INFO, "sub50.keys"):
        assert not settle(store)
        for _ in range(5):
            assert not store.poll()
    assert opens(store, "a", "") == [True, False]
    assert store.files[0].fault.startswith(told)
    (record,) = caplog.records  # said once, not at every look
    assert record.levelno == logging.ERROR
    message = record.getMessage()
    assert f"SUB50_API_KEYS_FILE): {path} {told}" in message
    assert "the keys of before still count" in message
    write(path, line_of("bob", "b"))
    assert settle(store)
    assert store.files[0].fault == ""
    assert opens(store, "a", "b") == [False, True]


def test_a_file_that_is_as_before_again_is_no_fault(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a"))
    store = store_of(path)
    path.chmod(0o666)
    settle(store)
    assert "others than its owner may change it" in store.files[0].fault
    path.chmod(0o600)
    assert not settle(store)
    assert store.files[0].fault == ""


def test_plain_keys_count_and_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "keys", "hunter2", line_of("ana", "a"))
    store = store_of(path)
    assert opens(store, "hunter2", "a") == [True, True]
    store.files[0].warn_of_plain()
    assert "1 keys stand in" in caplog.text
    assert f"sub50 keys convert {path}" in caplog.text
    assert "hunter2" not in caplog.text
    caplog.clear()
    write(path, line_of("ana", "a"))
    assert settle(store)
    assert "as they are" not in caplog.text


def test_settings_and_file_agree_on_the_rate_of_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", line_of("ana", "a", "rate=1"))
    with pytest.raises(ServeError, match="gives ana another rate than SUB50_API_KEYS does"):
        store_of(path, api_keys=[line_of("ana", "b", "rate=2")])
    store = store_of(path, api_keys=[line_of("ana", "b", "rate=1"), "plain"])
    assert opens(store, "a", "b", "plain") == [True, True, True]


def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys", 0o600)
    with pytest.raises(ServeError, match="is no file"):
        store_of(tmp_path / "keys")


def managed(callers: Path, managers: Path, **settings: Any) -> KeyStore:
    return KeyStore(Settings(api_keys_file=callers, management_keys_file=managers, **settings))


def test_the_two_kinds_of_keys_open_only_their_own(tmp_path: Path) -> None:
    callers = write(tmp_path / "callers", line_of("ana", "a"))
    managers = write(tmp_path / "managers", line_of("root", "m"))
    store = managed(callers, managers)
    assert opens(store, "a", "m") == [True, False]
    assert store.callers.names == {"ana"}
    assert store.managers.names == {"root"}
    assert store.managers.find("a") is None
    write(managers, line_of("root", "n"))
    assert settle(store)
    assert store.managers.find("m") is None
    assert store.managers.find("n") is not None
    assert opens(store, "a") == [True]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("hunter2",), "has a key as it is (line-1); `sub50 keys new NAME --management`"),
        ((line_of("root", "m", "rate=1"),), "gives root a rate"),
        ((line_of("root", "a"),), "has the key of root, which is also ana's"),
        ((line_of("root", "b"),), "has the key of root, which is also bob's"),
    ],
)
def test_keys_that_cannot_manage(tmp_path: Path, lines: tuple[str, ...], told: str) -> None:
    callers = write(tmp_path / "callers", line_of("ana", "a"))
    managers = write(tmp_path / "managers", *lines)
    with pytest.raises(ServeError) as caught:
        managed(callers, managers, api_keys=[line_of("bob", "b")])
    assert "setting management_keys_file (SUB50_MANAGEMENT_KEYS_FILE)" in str(caught.value)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_no_key_comes_to_manage_and_ask_by_a_change(tmp_path: Path) -> None:
    callers = write(tmp_path / "callers", line_of("ana", "a"))
    managers = write(tmp_path / "managers", line_of("root", "m"))
    store = managed(callers, managers)
    write(callers, line_of("ana", "a"), line_of("eve", "m"))
    assert not settle(store)
    assert "has the key of eve, which is also root's" in store.files[0].fault
    write(managers, line_of("root", "m"), line_of("eve", "a"))
    assert not settle(store)
    assert "has the key of eve, which is also ana's" in store.files[1].fault
    assert store.callers.find("m") is None
    assert store.managers.find("a") is None

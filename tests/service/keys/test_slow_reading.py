"""A file of keys on a disk that does not answer: the keys of before count, and that is shown."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from service.keys import store as stores
from service.keys.line import line_of
from service.keys.store import KeyStore
from service.keys.watch import followed
from service.settings import Settings
from tests.service.keys.test_store import opens, write

POLL_SECONDS = 0.01
SLOW_SECONDS = 0.1


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_a_reading_that_takes_long_is_a_fault_until_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read, answers = stores.read_key_file, threading.Event()
    answers.set()

    def read_once_it_answers(path: Path) -> bytes:
        assert answers.wait(20)
        return read(path)

    monkeypatch.setattr(stores, "read_key_file", read_once_it_answers)
    callers = write(tmp_path / "keys", line_of("ana", "a"))
    managers = write(tmp_path / "managers", line_of("root", "m"))
    store = KeyStore(Settings(api_keys_file=callers, management_keys_file=managers))
    shown: list[list[str]] = []

    def faults() -> list[str]:
        return [file.fault for file in store.files]

    async def main() -> None:
        async with followed(store, lambda: shown.append(faults()), POLL_SECONDS, SLOW_SECONDS):
            await soon(lambda: len(shown) > 2)
            assert faults() == ["", ""]
            answers.clear()
            await soon(lambda: shown[-1] == [stores.DISK_SILENT] * 2)  # neither can be read
            write(callers, line_of("bob", "b"))
            assert opens(store, "a", "b") == [True, False]
            answers.set()
            await soon(lambda: opens(store, "a", "b") == [False, True])
            await soon(lambda: shown[-1] == ["", ""])
            # It is over while a reading hangs: nobody waits for that.
            answers.clear()
            await soon(lambda: store.files[0].awaited)

    with caplog.at_level(logging.INFO, "sub50.keys"):
        asyncio.run(asyncio.wait_for(main(), 30))
    answers.set()
    assert f"{callers} cannot be read yet (its disk takes long to answer)" in caplog.text
    assert "the keys of before still count" in caplog.text
    assert f"{callers} can be used again" in caplog.text

"""While it serves, the event loop touches no file of its own: every disk may take its time."""

from __future__ import annotations

import asyncio
import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.control import tell
from service.keys.line import line_of
from service.triton.loader import VersionLoader
from tests.fake_triton import running_fake_triton
from tests.service.conftest import MODELS, Service
from tests.service.keys.test_manage import PROMOTE, ROLLBACK, ask, service  # noqa: F401
from tests.service.keys.test_serving import soon
from tests.service.keys.test_store import write
from tests.service.test_promotion import _quick_golden_requests, folder  # noqa: F401

CALLS = {
    builtins: ("open",),
    io: ("open",),
    os: (
        "access", "chmod", "listdir", "lstat", "mkdir", "open", "readlink", "remove", "rename",
        "replace", "rmdir", "scandir", "stat", "symlink", "truncate", "unlink", "utime",
    ),
}  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], list[str]]:
    """Calls on files below the test's folder that are made in an event loop from now on."""
    found: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if str(path).startswith(str(tmp_path)) and is_in_a_loop():
                found.append(f"{name}({path})")
            return real(path, *arguments, **options)

        return call

    def begin() -> list[str]:
        for module, names in CALLS.items():
            for name in names:
                monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
        return found

    return begin


def is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def test_serving_promoting_and_following_keys(
    service: Service,  # noqa: F811
    folder: Path,  # noqa: F811
    tmp_path: Path,
    seen: Callable[[], list[str]],
) -> None:
    found = seen()
    caller = {"Authorization": "Bearer a"}
    for path, body in {
        "/v1/classify": {"input": "the film is good"},
        "/v1/summarize": {"input": "The film is good. The contract is bad. A term. " * 50},
    }.items():
        assert service.post(path, body, headers=caller).status_code == 200
    for path in ("/readyz", "/metrics", "/v1/models/sentiment", "/", "/v1/board", "/docs"):
        assert service.client.get(path, headers=caller).status_code == 200
    assert ask(service, PROMOTE, {"version": "2"}).status_code == 200
    assert ask(service, ROLLBACK).json()["version"] == "1"
    assert ask(service, ROLLBACK).status_code == 409
    assert ask(service, PROMOTE, {"version": "9"}).status_code == 409
    answer = tell(folder, {"do": "promote", "model": "sentiment", "version": "2"})
    assert answer is not None
    assert answer["ok"] is True
    write(tmp_path / "managers", line_of("root", "other"))
    soon(lambda: ask(service, ROLLBACK, key="other").status_code == 200)
    assert found == []


def test_loading_a_version(tmp_path: Path, seen: Callable[[], list[str]]) -> None:
    async def load() -> None:
        async with running_fake_triton(MODELS) as triton:
            loader = VersionLoader(triton.target, (), {"sentiment": "{}"}, scratch=tmp_path)
            await loader.keep("sentiment", {"1"})
            await loader.close()
            assert triton.loaded == {"sentiment": {"1"}}

    found = seen()
    asyncio.run(load())
    assert found == []
    assert list(tmp_path.iterdir()) == []


def test_what_the_loop_touches_is_seen(tmp_path: Path, seen: Callable[[], list[str]]) -> None:
    async def touch() -> None:
        (tmp_path / "a").write_text("a")
        (tmp_path / "a").exists()
        (tmp_path / "a").unlink()

    found = seen()
    asyncio.run(touch())
    assert [call.partition("(")[0] for call in found] == ["open", "stat", "unlink"]

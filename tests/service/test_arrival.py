"""The API alone at start, over a Triton that is not there, not whole, or late."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.errors import ServeError
from service.triton import arrival as module
from service.triton.arrival import arrival
from service.triton.client import TritonClient
from tests.deploy.running import free_port
from tests.fake_triton import running_fake_triton

WANTED = [("tiny", "1"), ("topics", "3")]


def run(*options: str, repository: Path) -> str:
    result = CliRunner().invoke(
        app, ["api", "--port", "0", "--repository", str(repository), *options]
    )
    assert result.exit_code == 1
    return result.stderr


def test_a_triton_that_never_comes_ends_the_api(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUB50_TRITON_START_SECONDS", "0.2")
    target = f"127.0.0.1:{free_port()}"
    told = run("--triton", target, repository=repository)
    for part in (target, "Connection refused", "SUB50_TRITON. ", "SUB50_TRITON_START_SECONDS"):
        assert part in told.replace("\n", " ")


def test_a_repository_without_models_ends_the_api_and_is_named(tmp_path: Path) -> None:
    told = run("--triton", "127.0.0.1:1", repository=tmp_path)
    assert str(tmp_path) in told
    assert "SUB50_REPOSITORY" in told


async def waited(target: str, limit_seconds: float) -> None:
    client = TritonClient(target)
    try:
        await arrival(client, WANTED, limit_seconds)
    finally:
        await client.close()


def test_models_that_it_lacks_are_named_with_their_versions() -> None:
    async def scenario() -> None:
        async with running_fake_triton() as fake:
            await waited(fake.target, 0.1)

    with pytest.raises(ServeError, match=r"does not serve topics \(version 3\)"):
        asyncio.run(scenario())


def test_one_that_comes_late_is_waited_for_and_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TELL_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.05)
    port = free_port()

    async def scenario() -> None:
        waiting = asyncio.create_task(waited(f"127.0.0.1:{port}", 20))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        async with running_fake_triton(port=port) as fake:
            fake.models["topics"] = fake.models["tiny"]
            await asyncio.wait_for(waiting, 10)

    with caplog.at_level(logging.INFO, "sub50.triton"):
        asyncio.run(scenario())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) <= 3  # gRPC may word the same failure in two ways
    assert "does not answer" in lines[0]
    assert "with all models" in lines[-1]

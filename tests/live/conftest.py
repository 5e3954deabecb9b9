"""Live tests run against a real embedded Triton, started once for each repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.card import ENGINE_FILE
from service.errors import ServeError
from service.triton.installation import find_installation
from service.triton.server import EmbeddedTriton
from tests.live.promoting import BUILT, start
from tests.live.test_stack import Stack
from tests.tiny_models import write_tiny_model

StartTriton = Callable[[Path], EmbeddedTriton]


@pytest.fixture(scope="session", autouse=True)
def _triton_runs_here() -> None:
    try:
        find_installation()
    except ServeError as error:
        pytest.skip(f"no embedded Triton here: {error}")


@pytest.fixture(scope="session")
def start_triton() -> Iterator[StartTriton]:
    """`start_triton(repository)`: an embedded Triton that serves it, one for the session.

    All that it has listens on loopback; those that `sub50 serve` starts do not.
    """
    started: dict[Path, EmbeddedTriton] = {}

    def start(repository: Path) -> EmbeddedTriton:
        if repository not in started:
            server = EmbeddedTriton(repository, grpc_port=0, metrics_port=0, http_port=0)
            server.start()
            started[repository] = server
        return started[repository]

    yield start
    for server in started.values():
        server.stop()


@pytest.fixture(scope="session")
def tiny_triton(
    start_triton: StartTriton, tmp_path_factory: pytest.TempPathFactory
) -> EmbeddedTriton:
    """A Triton with engines of a few nodes: `tiny`, `slow`, and `ranked` with priorities.

    The repository's path holds a space, which Triton on its own cannot cope with.
    """
    repository = tmp_path_factory.mktemp("tiny models")
    write_tiny_model(repository, "tiny")
    write_tiny_model(repository, "slow", rounds=20)
    policy = "timeout_action: REJECT default_timeout_microseconds: 10000000"
    batching = f"priority_levels: 2 default_priority_level: 1 default_queue_policy {{ {policy} }}"
    write_tiny_model(repository, "ranked", rounds=20, batching=batching)
    return start_triton(repository)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The engine `sentiment` alone, in a repository that a test may change."""
    assert (BUILT / "1" / ENGINE_FILE).is_file(), "sentiment is not built; run `make setup`"
    folder = tmp_path / "models" / "sentiment"
    shutil.copytree(BUILT / "1", folder / "1")
    for name in ("config.pbtxt", "labels.txt"):
        shutil.copy(BUILT / name, folder)
    return tmp_path / "models"


@pytest.fixture
def stack(repository: Path) -> Iterator[Stack]:
    """`sub50 serve` with that repository."""
    running = start(repository)
    yield running
    running.end()

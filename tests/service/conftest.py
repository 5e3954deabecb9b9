"""The whole API on a real socket, over a fake Triton that speaks real gRPC."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from service.app import Surroundings, create_app
from service.connections import Connections
from service.control import control_socket
from service.drain import Drain
from service.hosted import HostedTriton
from service.run import listen, make_server
from service.settings import Settings
from service.trace import Tracing
from service.triton.loader import VersionLoader
from tests.fake_triton import FakeTriton, running_fake_triton
from tests.tiny import card, write_model

START_SECONDS = 20
# What is tested here is what it answers, not how fast this machine is; tests of the promise set
# their own.
CALM: dict[str, Any] = {"interactive_timeout_ms": 20_000}


def logits_by_words(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """Two logits, so that texts of other tokens get other answers: minus and plus their mean id."""
    mean = (input_ids * attention_mask).sum(1) / np.maximum(attention_mask.sum(1), 1)
    return np.stack([-mean / 50, mean / 50], axis=1)


def unit_vectors(input_ids: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    """Normalised counts of token ids: sentences with the same words are the same vector."""
    vectors = np.zeros((len(input_ids), 128))
    for row, (ids, mask) in enumerate(zip(input_ids, attention_mask, strict=True)):
        np.add.at(vectors[row], ids[mask == 1], 1.0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


MODELS = {
    "sentiment": logits_by_words,
    "topics": lambda ids, mask: np.repeat(logits_by_words(ids, mask), 2, axis=1),
    "contracts": logits_by_words,
    "general": unit_vectors,
}


def write_repository(repository: Path) -> None:
    """The four default models' cards and tokenizers, without engines."""
    topics = ["World", "Sports", "Business", "Sci/Tech"]
    write_model(repository, card("sentiment"))
    write_model(repository, card("topics", labels=topics))
    write_model(repository, card("contracts", task="summarize", labels=["drop", "keep"]))
    write_model(repository, card("general", task="summarize", labels=[], output="embedding"))


@dataclass
class Service:
    """A running API, a client for it, and the fake Triton behind it."""

    url: str
    client: httpx2.Client
    triton: FakeTriton

    def post(self, route: str, body: Any, **arguments: Any) -> httpx2.Response:
        """POST `body` as JSON."""
        return self.client.post(route, json=body, **arguments)


class _Running:
    """One event loop in a thread, with a fake Triton and a uvicorn server on it."""

    def __init__(
        self,
        settings: Settings,
        watch_seconds: float | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.settings = settings
        self.tracing = tracing
        self.watch_seconds = watch_seconds
        self.listener = listen(settings)
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self.failure = error
            self.ready.set()

    async def _serve(self) -> None:
        async with running_fake_triton(MODELS) as self.triton:
            with self._control() as control:
                hosted, tracing = self._hosted(control), self.tracing
                connections = Connections(self.settings)
                around = Surroundings(hosted=hosted, tracing=tracing, connections=connections)
                app = create_app(self.settings, self.triton.target, around)
                self.server = make_server(self.settings, connections, lambda: app, Drain())
                self.ready.set()
                await self.server.serve(sockets=[self.listener])

    def _control(self) -> AbstractContextManager[socket.socket | None]:
        promotes = self.watch_seconds is not None
        return control_socket(self.settings.repository) if promotes else nullcontext()

    def _hosted(self, control: socket.socket | None) -> HostedTriton | None:
        if self.watch_seconds is None or control is None:
            return None
        repository, target = self.settings.repository, self.triton.target
        configs = {path.parent.name: "{}" for path in repository.glob("*/config.pbtxt")}
        make_loader = partial(VersionLoader, target, (), configs)
        return HostedTriton(control, make_loader, self.watch_seconds)

    def start(self) -> Service:
        self.thread.start()
        assert self.ready.wait(START_SECONDS)
        if self.failure is not None:
            raise self.failure
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        client = httpx2.Client(
            base_url=url, timeout=30, headers={"Content-Type": "application/json"}
        )
        return Service(url, client, self.triton)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(START_SECONDS)
        assert not self.thread.is_alive()
        if self.failure is not None:
            raise self.failure


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the four default models without engines."""
    folder = tmp_path_factory.mktemp("repository")
    write_repository(folder)
    return folder


StartService = Callable[..., Service]


@pytest.fixture
def start_service(repository: Path) -> Iterator[StartService]:
    """`start_service(**settings)`: an API of its own for one test.

    With `watch_seconds`, one that can promote; with `tracing`, one that traces.
    """
    running: list[tuple[_Running, Service]] = []

    def start(
        watch_seconds: float | None = None, tracing: Tracing | None = None, **changes: Any
    ) -> Service:
        settings = Settings(**{"port": 0, "repository": repository, **CALM, **changes})
        process = _Running(settings, watch_seconds, tracing)
        service = process.start()
        running.append((process, service))
        return service

    yield start
    for process, service in running:
        service.client.close()
        process.stop()


@pytest.fixture(scope="session")
def shared_service(repository: Path) -> Iterator[Service]:
    """One API with default settings for all tests that do not change it."""
    process = _Running(Settings(port=0, repository=repository, **CALM))
    service = process.start()
    yield service
    service.client.close()
    process.stop()


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """The shared API; the fake Triton's faults are taken back after the test."""
    yield shared_service
    shared_service.triton.failure = None
    shared_service.triton.delay_seconds = 0.0
    shared_service.triton.override = None
    shared_service.triton.requests.clear()

"""Triton is brought back with what serves, again and again, and never in a spin."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service import keeper
from service.errors import BackendUnavailable, ServeError
from service.keeper import TritonKeeper
from service.metrics import Metrics
from service.models import ServedModel, load_version
from service.pulse import Pulse
from tests.service.hanging import Engine
from tests.service.test_pulse import ask
from tests.service.test_watch import Pipeline
from tests.tiny import card, write_version

ENGINE = b"an engine"


class Triton:
    """Plays the embedded one: `status` is its exit status, `failures` of its next starts."""

    def __init__(self, repository: Path) -> None:
        self.repository = repository
        self.status: int | None = None
        self.failures: list[Exception] = []
        self.unloadable: dict[str, str] = {}
        self.revived: list[dict[str, str]] = []
        self.loaded: list[dict[str, str]] = []
        self.called_off = threading.Event()
        self.blocks = False
        self.log_read_by: threading.Thread | None = None
        self.stand_ins: dict[str, str] = {}

    @property
    def grpc_target(self) -> str:
        return f"127.0.0.1:{9000 + len(self.revived)}"

    def poll(self) -> int | None:
        return self.status

    def revive(self, versions: Mapping[str, str]) -> dict[str, str]:
        self.revived.append(dict(versions))
        if self.blocks:
            assert self.called_off.wait(10)
            raise ServeError("called off")
        if self.failures:
            raise self.failures.pop(0)
        self.status = None
        return {name: why for name, why in self.unloadable.items() if name in versions}

    def load(self, versions: Mapping[str, str]) -> dict[str, str]:
        self.loaded.append(dict(versions))
        return {name: why for name, why in self.unloadable.items() if name in versions}

    def call_off(self) -> None:
        self.called_off.set()

    def log_end(self) -> str:
        self.log_read_by = threading.current_thread()
        return "the end of its log"


class House:
    """A keeper with a Triton, models on disk, and the targets that clients were made for."""

    def __init__(self, folder: Path) -> None:
        self.triton = Triton(folder)
        self.models = [self.model(folder, name) for name in ("one", "two")]
        self.pipeline = Pipeline(self.models)
        self.first = Engine()
        self.pulse = Pulse(self.first, left_calls=2, in_order=True)
        self.metrics = Metrics(CollectorRegistry())
        self.targets: list[str] = []
        self.keeper = TritonKeeper(
            self.triton, self.pulse, self.pipeline, self.connect, self.metrics
        )

    @staticmethod
    def model(folder: Path, name: str, version: str = "1") -> ServedModel:
        write_version(folder / name / version, card(name, version=version), ENGINE)
        return load_version(folder / name / version)

    def connect(self, target: str) -> Engine:
        self.targets.append(target)
        return Engine()

    def restarts(self, reason: str) -> float:
        labels = {"reason": reason}
        value = self.metrics.registry.get_sample_value("sub50_triton_restarts_total", labels)
        return value or 0.0


def run(folder: Path, test: Callable[[House], Any]) -> None:
    async def main() -> None:
        await test(House(folder))

    asyncio.run(main())


def test_what_is_well_is_left_alone(tmp_path: Path) -> None:
    async def test(house: House) -> None:
        assert await house.keeper.heal(None) is False
        assert house.triton.revived == []
        await ask(house.pulse, "one")

    run(tmp_path, test)


@pytest.mark.parametrize(
    ("status", "hung", "reason"),
    [
        (247, None, "triton_died"),  # 256 - SIGKILL, as the supervisor passes it on
        (1, None, "triton_died"),
        (3, None, "model_died"),
        (-9, None, "supervisor_died"),
        (None, "one has not answered", "hung"),
    ],
)
def test_it_comes_back_with_the_versions_that_serve(
    tmp_path: Path, status: int | None, hung: str | None, reason: str
) -> None:
    async def test(house: House) -> None:
        promoted = house.model(tmp_path, "one", version="2")
        house.models[0] = promoted
        house.triton.status = status
        assert await house.keeper.heal(hung) is True
        assert house.triton.revived == [{"one": "2", "two": "1"}]
        assert house.targets == ["127.0.0.1:9001"]
        assert house.first.closed
        assert house.restarts(reason) == 1
        assert house.pipeline.said == ["forget"]
        assert house.triton.log_read_by not in (None, threading.current_thread())
        await ask(house.pulse, "one", version="2")

    run(tmp_path, test)


def test_requests_are_told_while_it_is_away(tmp_path: Path) -> None:
    async def test(house: House) -> None:
        house.triton.status, house.triton.blocks = 247, True
        healing = asyncio.create_task(house.keeper.heal(None))
        while not house.triton.revived:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        with pytest.raises(BackendUnavailable, match="ended by SIGKILL; it is being started"):
            await ask(house.pulse, "one")
        begun = time.monotonic()
        healing.cancel()
        await asyncio.gather(healing, return_exceptions=True)
        assert house.triton.called_off.is_set()  # nobody starts what is being stopped
        assert time.monotonic() - begun < 5

    run(tmp_path, test)


def test_starts_that_fail_pause_longer_and_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "PAUSES_SECONDS", (0.0, 0.1, 0.4))

    async def test(house: House) -> None:
        house.triton.status = 1
        house.triton.failures = [ServeError("no room"), OSError("disk full"), ServeError("no")]
        begun = time.monotonic()
        await house.keeper.heal(None)
        assert time.monotonic() - begun >= 0.1 + 0.4 + 0.4
        assert len(house.triton.revived) == 4
        assert (house.restarts("triton_died"), house.restarts("start_failed")) == (1, 3)
        house.triton.status = 1  # it did not stay: the next start pauses, too
        begun = time.monotonic()
        await house.keeper.heal(None)
        assert time.monotonic() - begun >= 0.4

    run(tmp_path, test)


def test_a_model_that_cannot_be_loaded_keeps_none_from_serving_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "RELOAD_SECONDS", (0.05,))

    async def test(house: House) -> None:
        house.triton.status, house.triton.unloadable = 247, {"two": "not a graph"}
        await house.keeper.heal(None)
        await ask(house.pulse, "one")
        with pytest.raises(BackendUnavailable, match="two: its engine cannot be loaded"):
            await ask(house.pulse, "two")
        await asyncio.sleep(0.06)
        assert await house.keeper.heal(None) is True
        with pytest.raises(BackendUnavailable):
            await ask(house.pulse, "two")
        house.triton.unloadable = {}
        await asyncio.sleep(0.06)
        await house.keeper.heal(None)
        await ask(house.pulse, "two")
        assert house.triton.loaded == [{"two": "1"}] * 2
        assert await house.keeper.heal(None) is False

    run(tmp_path, test)


def test_a_model_whose_gpu_is_gone_goes_on_with_its_engine_for_processors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(house: House) -> None:
        house.triton.status = 247
        house.triton.stand_ins = {"two": "no driver was found. Install it."}
        await house.keeper.heal(None)
        assert house.pipeline.said == ["two stands in", "forget"]
        assert "model two is served by its engine for processors, because" in caplog.text
        await ask(house.pulse, "two")
        house.triton.status = 247
        await house.keeper.heal(None)
        assert house.pipeline.said.count("two stands in") == 1

    run(tmp_path, test)


def test_a_file_that_triton_could_run_keeps_a_model_from_being_loaded_again(
    tmp_path: Path,
) -> None:
    async def test(house: House) -> None:
        (tmp_path / "two" / "triton_python_backend_stub").write_text("#!/bin/sh")
        house.triton.status = 247
        await house.keeper.heal(None)
        assert house.triton.revived == [{"one": "1"}]

    run(tmp_path, test)


def test_another_engine_under_the_same_number_is_not_served(tmp_path: Path) -> None:
    async def test(house: House) -> None:
        shutil.rmtree(tmp_path / "two" / "1")
        write_version(tmp_path / "two" / "1", card("two"), b"another engine")
        house.triton.status = 247
        await house.keeper.heal(None)
        assert house.triton.revived == [{"one": "1"}]
        with pytest.raises(BackendUnavailable, match="two: its engine cannot be loaded"):
            await ask(house.pulse, "two")

    run(tmp_path, test)

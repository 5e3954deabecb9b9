"""Bulk requests outlast the loss of their model; others are told at once, and none is held up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from service import outlast
from service.call import Call
from service.errors import BackendUnavailable
from service.metrics import Metrics
from service.models import ModelCatalog, ServedModel
from service.outlast import MOST_TIMES
from service.pipeline import Pipeline
from service.pulse import Pulse
from service.schemas import ClassifyRequest, ClassifyResponse
from service.settings import Settings
from tests.deploy.running import wait_for
from tests.service.conftest import CALM, MODELS, Service, StartService
from tests.service.hanging import Engine
from tests.service.test_promise import metric
from tests.service.test_watch import until
from tests.tiny import card

KEY = ("sentiment", "1")
# About 1,800 tokens, and so bulk: twenty slices.
TEXTS = ["a good film. " * (1 + i % 5) + "bad " * (i % 3) for i in range(120)]
GONE = "Triton was ended by SIGKILL; it is being started again"


class WordEngine(Engine):
    """Takes 5 ms, and answers by the words, so that no slice is taken for another."""

    def __init__(self) -> None:
        super().__init__(delay_seconds=0.005)

    async def infer(self, model: str, ids: Any, mask: Any, **rest: Any) -> Any:
        await super().infer(model, ids, mask, **rest)
        return MODELS[model](ids, mask).astype("<f4")


class House:
    """A pipeline over a pulse, and requests for it."""

    def __init__(self, repository: Path) -> None:
        self.models = ModelCatalog.load(repository)
        self.engine = WordEngine()
        self.pulse = Pulse(self.engine, left_calls=2, in_order=True)
        settings = Settings(port=0, repository=repository, **CALM)
        metrics = Metrics(CollectorRegistry())
        self.pipeline = Pipeline(self.models, self.pulse, metrics, settings, {})

    async def ask(
        self, texts: list[str], model: str = "sentiment", timeout_ms: float | None = None
    ) -> ClassifyResponse:
        request = ClassifyRequest(input=texts, model=model)
        return await self.pipeline.classify(request, Call("test", caller_timeout_ms=timeout_ms))

    def begin(self, timeout_ms: float | None = None) -> asyncio.Task[ClassifyResponse]:
        return asyncio.create_task(self.ask(TEXTS, timeout_ms=timeout_ms))

    async def stuck_under_way(
        self, timeout_ms: float | None = None
    ) -> asyncio.Task[ClassifyResponse]:
        """A bulk request some of whose slices are answered, and one of which hangs."""
        before = self.engine.asked
        bulk = self.begin(timeout_ms)
        await until(lambda: self.engine.asked >= before + 5, 5)
        self.engine.stuck = 1
        await until(lambda: self.engine.stuck == 0, 5)
        return bulk

    async def waiting(self) -> asyncio.Task[ClassifyResponse]:
        """A bulk request that waits for Triton."""
        bulk = await self.stuck_under_way()
        self.pulse.down(GONE, 3)
        await until(lambda: self.pipeline.scheduler.backlog.empty, 5)
        assert not bulk.done()
        return bulk


def run(repository: Path, test: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        house = House(repository)
        await test(house)
        for model in house.models.all():
            assert model.in_flight == 0
        assert house.pipeline.scheduler.backlog.empty

    asyncio.run(main())


def test_only_the_slice_that_was_lost_is_sent_again(repository: Path) -> None:
    async def test(house: House) -> None:
        whole = await house.ask(TEXTS)
        slices = house.engine.asked
        assert slices > 10
        bulk = await house.waiting()
        after = WordEngine()
        house.pulse.up(after)
        assert await bulk == whole
        assert (house.engine.asked - slices) + after.asked == slices + 1
        assert after.asked > 0

    run(repository, test)


def test_a_silence_between_two_slices_is_waited_for(repository: Path) -> None:
    async def test(house: House) -> None:
        whole = await house.ask(TEXTS)
        slices = house.engine.asked
        bulk = house.begin()
        await until(lambda: house.engine.asked >= slices + 5, 5)
        house.pulse.shut_version(KEY, "the model does not answer")
        await until(lambda: house.pipeline.scheduler.backlog.empty, 5)
        asked = house.engine.asked
        await asyncio.sleep(0.1)
        assert not bulk.done()
        assert house.engine.asked == asked
        house.pulse.open_version(KEY)
        assert await bulk == whole
        assert house.engine.asked == 2 * slices  # none of them had been lost

    run(repository, test)


def test_what_waits_is_in_nobody_s_way(repository: Path) -> None:
    async def test(house: House) -> None:
        bulk = house.begin()
        await until(lambda: house.engine.asked >= 5, 5)
        house.pulse.shut_version(KEY, "the model does not answer")
        await until(lambda: house.pipeline.scheduler.backlog.empty, 5)
        assert house.pipeline.scheduler.wait_ms() == 0
        assert house.pipeline.scheduler.backlog.bulk_ms() == 0
        other = Call("other")
        await house.pipeline.classify(ClassifyRequest(input=["good"], model="topics"), other)
        line = house.pipeline.predicted_seconds("topics", 3)
        assert other.predicted_ms == pytest.approx(1000 * line, abs=20)  # its own time alone
        assert not bulk.done()
        house.pulse.open_version(KEY)
        await bulk

    run(repository, test)


def test_interactive_requests_and_those_that_come_meanwhile_are_told_at_once(
    repository: Path,
) -> None:
    async def test(house: House) -> None:
        house.engine.stuck = 1
        interactive = asyncio.create_task(house.ask(["good"]))
        await until(lambda: house.engine.stuck == 0, 5)
        house.pulse.down(GONE, 3)
        begun = time.monotonic()
        for late in (interactive, house.ask(["good"]), house.ask(TEXTS)):
            with pytest.raises(BackendUnavailable, match="SIGKILL") as caught:
                await late
        assert caught.value.retry_after_seconds == 3
        assert time.monotonic() - begun < 1
        house.pulse.up(WordEngine())
        await house.ask(TEXTS)

    run(repository, test)


def test_in_vain_it_is_told_what_keeps_the_model_away_by_then(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlast, "LONGEST_WAIT_SECONDS", 0.3)

    async def test(house: House) -> None:
        bulk = await house.waiting()
        house.pulse.down("Triton does not start; it is started again in 8 s", 11)
        with pytest.raises(BackendUnavailable, match="does not start") as caught:
            await bulk
        assert caught.value.retry_after_seconds == 11

    run(repository, test)


def test_who_allows_little_time_does_not_wait(repository: Path) -> None:
    async def test(house: House) -> None:
        bulk = await house.stuck_under_way(timeout_ms=1500)
        house.pulse.down(GONE)
        begun = time.monotonic()
        with pytest.raises(BackendUnavailable, match="SIGKILL"):
            await bulk
        assert time.monotonic() - begun < 0.5

    run(repository, test)


def test_a_slice_that_its_model_dies_of_does_not_take_it_down_for_ever(repository: Path) -> None:
    async def test(house: House) -> None:
        house.engine.failures["sentiment"] = BackendUnavailable("the process is gone")
        one_slice = asyncio.create_task(house.ask(["good"], timeout_ms=60_000))
        while not one_slice.done():
            await asyncio.sleep(0.02)
            if house.pulse.doubted:
                house.pulse.up(house.engine)
        with pytest.raises(BackendUnavailable, match="the process is gone"):
            await one_slice
        assert house.engine.asked == MOST_TIMES

    run(repository, test)


def test_an_engine_that_cannot_be_loaded_is_not_waited_for(repository: Path) -> None:
    async def test(house: House) -> None:
        bulk = await house.waiting()
        house.pulse.up(WordEngine())
        house.pulse.shut_version(KEY, "its engine cannot be loaded", unloadable=True)
        with pytest.raises(BackendUnavailable, match="cannot be loaded"):
            await bulk

    run(repository, test)


def test_a_version_that_is_not_served_any_more_is_not_waited_for(repository: Path) -> None:
    """Triton comes back with what is served by then."""

    async def test(house: House) -> None:
        bulk = await house.stuck_under_way()
        served = house.models.named("sentiment")
        house.models.replace(ServedModel(card("sentiment", version="2"), served.tokenizer))
        house.pulse.down(GONE)
        with pytest.raises(BackendUnavailable, match="SIGKILL"):
            await bulk
        assert served.in_flight == 0

    run(repository, test)


def test_who_goes_away_waits_no_longer(repository: Path) -> None:
    async def test(house: House) -> None:
        bulk = await house.waiting()
        bulk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await bulk
        asked = house.engine.asked
        after = WordEngine()
        house.pulse.up(after)
        await asyncio.sleep(0.1)
        assert (house.engine.asked, after.asked) == (asked, 0)

    run(repository, test)


def lost_under_way(service: Service) -> None:
    """Break Triton once it has answered some slices of the request under way."""
    seen = len(service.triton.requests)
    wait_for(lambda: len(service.triton.requests) >= seen + 5, 10, lambda: "no slices")
    service.triton.failure = (grpc.StatusCode.UNAVAILABLE, "Socket closed")


def test_over_http_it_is_answered_once_a_triton_elsewhere_is_back(
    start_service: StartService,
) -> None:
    service = start_service()
    whole = service.post("/v1/classify", {"input": TEXTS}).json()
    service.triton.delay_seconds = 0.02
    with ThreadPoolExecutor(1) as pool:
        bulk = pool.submit(service.post, "/v1/classify", {"input": TEXTS})
        lost_under_way(service)
        time.sleep(0.5)
        assert metric(service, "sub50_inflight ") == 1
        for late in ({"input": TEXTS}, {"input": "good"}):
            told = service.post("/v1/classify", late)
            assert (told.status_code, told.json()["type"]) == (503, "urn:sub50:problem:not-ready")
            assert told.headers["retry-after"]
        service.triton.failure, service.triton.delay_seconds = None, 0.0
        answer = bulk.result(10)
    assert answer.status_code == 200
    assert answer.json() == whole


def test_a_client_that_hangs_up_is_waited_for_no_longer(start_service: StartService) -> None:
    service = start_service()
    service.triton.delay_seconds = 0.02
    with ThreadPoolExecutor(1) as pool:
        hanging_up = {"timeout": 1.0}
        bulk = pool.submit(service.post, "/v1/classify", {"input": TEXTS}, **hanging_up)
        lost_under_way(service)
        assert metric(service, "sub50_inflight ") == 1
        assert bulk.exception(10) is not None
    wait_for(lambda: not metric(service, "sub50_inflight "), 2, lambda: "it is held")
    counted = 'sub50_request_duration_seconds_count{class="bulk",model="sentiment"'
    lines = service.client.get("/metrics").text.splitlines()
    assert [line for line in lines if line.startswith(counted) and 'status="499"' in line]

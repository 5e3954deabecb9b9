"""Silence is told from overload, a hang from a pause, and what is over is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from service.errors import BackendUnavailable, RequestError
from service.models import ServedModel
from service.pulse import Pulse
from service.watch import SILENT, Watch
from tests.service.hanging import Engine, served_model
from tests.service.test_pulse import ask

KEY = ("sentiment", "1")


class Pipeline:
    """What a watch asks of the pipeline."""

    def __init__(self, models: list[ServedModel]) -> None:
        self.models = models
        self.said: list[str] = []

    def served(self) -> list[ServedModel]:
        return self.models

    def predicted_seconds(self, model: str, tokens: int) -> float:
        return 0.01

    def stand_in(self, model: ServedModel) -> None:
        model.stand_in()
        self.said.append(f"{model.name} stands in")

    def note_calm(self) -> None:
        self.said.append("calm")

    def forget_outage(self) -> None:
        self.said.append("forget")


class Healer:
    """Notes what it is told, and does nothing."""

    def __init__(self) -> None:
        self.hung: list[str] = []

    async def heal(self, hung: str | None) -> bool:
        if hung is not None:
            self.hung.append(hung)
        return False


@asynccontextmanager
async def watched(
    pulse: Pulse, pipeline: Pipeline, healer: Healer | None, side_by_side: int = 1
) -> AsyncIterator[None]:
    watch = Watch(pulse, pipeline, healer, lambda _: side_by_side)
    watching = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def until(reached: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline([served_model(tmp_path)])


def test_a_hang_is_noticed_without_a_request_and_told_to_the_healer(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine, healer = Engine(), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            await until(lambda: engine.asked > 0, 2)
            engine.hangs.add("sentiment")
            await until(lambda: pulse.shut == {KEY: SILENT}, 2.5)
            with pytest.raises(BackendUnavailable):
                await ask(pulse, "sentiment")
            assert not healer.hung  # silent is not hung yet
            await until(lambda: bool(healer.hung), 3)
            assert "sentiment has not answered a call" in healer.hung[0]

    asyncio.run(main())


def test_an_answer_ends_the_silence_and_what_it_taught(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine, healer = Engine(), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            await until(lambda: "calm" in pipeline.said, 2)
            await ask(pulse, "sentiment")  # so that none of the two that stick is a proof of life
            engine.stuck = 2
            calls = [asyncio.create_task(ask(pulse, "sentiment", 1000)) for _ in range(2)]
            await until(lambda: KEY in pulse.shut, 2)
            for call in calls:
                with pytest.raises(BackendUnavailable):
                    await call
            for asked in pulse.asked:  # Triton answers after all
                assert asked.task is not None
                asked.task.cancel()
            await until(lambda: KEY not in pulse.shut, 2)
            assert "forget" in pipeline.said
            await ask(pulse, "sentiment")
            assert not healer.hung

    asyncio.run(main())


def test_overload_is_neither_silence_nor_a_hang(pipeline: Pipeline) -> None:
    async def main() -> None:
        # Each answer takes 30 times as long as predicted, and 12 wait at once: the last of them
        # for longer than a hang may take to be told.
        engine, healer = Engine(delay_seconds=0.3), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            begun = time.monotonic()
            await asyncio.gather(*(ask(pulse, "sentiment") for _ in range(12)))
            assert time.monotonic() - begun > 3
        assert not healer.hung
        assert pipeline.said.count("forget") == 0

    asyncio.run(main())


def test_one_instance_that_hangs_is_found_while_the_other_answers(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine, healer = Engine(), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            engine.stuck = 1
            with pytest.raises(RequestError):
                await ask(pulse, "sentiment", timeout_ms=20)
            answered = 0
            while not healer.hung and answered < 2000:
                with suppress(BackendUnavailable):
                    await ask(pulse, "sentiment")
                    answered += 1
                await asyncio.sleep(0.02)
        assert healer.hung
        assert answered > 10

    asyncio.run(main())


def test_a_process_that_triton_gives_up_on_again_and_again_hangs(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine, healer = Engine(), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            now = time.monotonic()
            pulse.broken[KEY] = [now]
            await asyncio.sleep(0.3)
            assert not healer.hung  # once may have been the machine's doing
            pulse.broken[KEY].append(now)
            await until(lambda: bool(healer.hung), 1)
            assert "a process of sentiment does not answer Triton" in healer.hung[0]

    asyncio.run(main())


def test_a_machine_that_stood_still_is_no_hang(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine, healer = Engine(delay_seconds=0.2), Healer()
        pulse = Pulse(engine, left_calls=2, in_order=True)
        async with watched(pulse, pipeline, healer):
            asking = asyncio.create_task(ask(pulse, "sentiment"))
            await asyncio.sleep(0.1)
            time.sleep(3)  # noqa: ASYNC251, nothing of ours runs meanwhile
            await asking
            assert (healer.hung, pulse.shut) == ([], {})

    asyncio.run(main())


def test_a_triton_elsewhere_is_asked_only_where_it_is_doubted(pipeline: Pipeline) -> None:
    async def main() -> None:
        engine = Engine()
        pulse = Pulse(engine)
        async with watched(pulse, pipeline, healer=None):
            await asyncio.sleep(1.5)
            assert engine.asked == 0
            engine.hangs.add("sentiment")
            with pytest.raises(RequestError):
                await ask(pulse, "sentiment", timeout_ms=20)
            await until(lambda: KEY in pulse.shut, 1.5)
            engine.hangs.clear()
            await until(lambda: KEY not in pulse.shut, 2)
            await ask(pulse, "sentiment")

    asyncio.run(main())

"""Calls pass through, are shut off where a model is silent, and leave their evidence behind."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from service.errors import BackendError, BackendUnavailable, DeadlineExceeded
from service.pulse import Pulse
from tests.service.hanging import Engine

KEY = ("a", "1")
IDS = np.ones((1, 16), dtype=np.int64)


async def ask(pulse: Pulse, model: str = "a", timeout_ms: float = 5000, version: str = "1") -> Any:
    return await pulse.infer(model, IDS, IDS, timeout_ms=timeout_ms, priority=1, version=version)


def test_answers_and_errors_pass_through_and_nothing_is_left() -> None:
    async def main() -> None:
        engine = Engine()
        pulse = Pulse(engine, left_calls=2)
        assert (await ask(pulse)).shape == (1, 2)
        engine.failures["a"] = BackendError("the engine broke")
        with pytest.raises(BackendError, match="broke"):
            await ask(pulse)
        assert pulse.asked == []
        assert pulse.doubted == set()  # that was an answer
        engine.failures["a"] = BackendUnavailable("not there")
        with pytest.raises(BackendUnavailable, match="not there"):
            await ask(pulse)
        assert pulse.doubted == {KEY}

    asyncio.run(main())


def test_a_call_that_was_given_up_leaves_its_evidence_but_not_many_do() -> None:
    async def main() -> None:
        engine = Engine()
        engine.hangs.add("a")
        pulse = Pulse(engine, left_calls=2)
        for _ in range(5):
            with pytest.raises(DeadlineExceeded):
                await ask(pulse, timeout_ms=5)
        await asyncio.sleep(0)
        assert len(pulse.asked) == 2
        assert engine.cancelled == 3
        assert pulse.doubted == {KEY}

    asyncio.run(main())


def test_a_shared_triton_is_relieved_of_every_call_that_was_given_up() -> None:
    async def main() -> None:
        engine = Engine()
        engine.hangs.add("a")
        pulse = Pulse(engine)
        asking = asyncio.create_task(ask(pulse))
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0)
        assert (pulse.asked, engine.cancelled) == ([], 1)

    asyncio.run(main())


@pytest.mark.parametrize(("in_order", "clocks"), [(True, [5.0, 0.0]), (False, [0.0, 0.0])])
def test_an_answer_sets_back_the_clocks_behind_it(in_order: bool, clocks: list[float]) -> None:
    async def main() -> None:
        engine = Engine(delay_seconds=0.1)
        pulse = Pulse(engine, left_calls=2, in_order=in_order)
        engine.stuck = 1  # the first hangs, the second is answered, the third hangs
        tasks = []
        for number in range(3):
            if number == 2:
                engine.hangs.add("a")
            tasks.append(asyncio.create_task(ask(pulse)))
            await asyncio.sleep(0.01)
        pulse.tick(5.0)
        await tasks[1]
        assert [asked.seconds for asked in pulse.asked] == clocks
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())


def test_shutting_a_version_fails_those_that_wait_for_it_at_once() -> None:
    async def main() -> None:
        engine = Engine()
        engine.hangs |= {"a", "b"}
        pulse = Pulse(engine, left_calls=2)
        one, other = (asyncio.create_task(ask(pulse, model, 1000)) for model in "ab")
        patient = asyncio.create_task(ask(pulse, "a", 5000))
        await asyncio.sleep(0.01)
        pulse.shut_version(KEY, "silent")
        with pytest.raises(BackendUnavailable, match="silent"):
            await one
        with pytest.raises(BackendUnavailable, match="silent"):
            await ask(pulse)
        assert not other.done()
        assert not patient.done()
        engine.hangs.clear()
        await ask(pulse, version="2")  # another version is not concerned
        pulse.open_version(KEY)
        await ask(pulse)
        other.cancel()
        patient.cancel()
        await asyncio.gather(other, patient, return_exceptions=True)

    asyncio.run(main())


def test_an_outage_fails_everything_and_says_when_to_try_again() -> None:
    async def main() -> None:
        engine, after = Engine(), Engine()
        engine.hangs.add("a")
        pulse = Pulse(engine, left_calls=2)
        waiting = asyncio.create_task(ask(pulse))
        await asyncio.sleep(0.01)
        pulse.down("it is gone", retry_after_seconds=7)
        for call in (waiting, ask(pulse), ask(pulse, "b")):
            with pytest.raises(BackendUnavailable, match="it is gone"):
                await call
        with pytest.raises(BackendUnavailable) as caught:
            pulse.require_up()
        assert caught.value.retry_after_seconds == 7
        assert await pulse.live() is False
        changes = pulse.changes
        pulse.up(after)
        await asyncio.sleep(0)
        assert pulse.asked == []
        assert pulse.changes > changes
        await ask(pulse)
        assert after.asked == 1

    asyncio.run(main())

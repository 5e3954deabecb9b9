"""What goes behind interactive requests: bulk work, and what is asked of an engine aside."""

from __future__ import annotations

import asyncio
import time

from service.behind import BULK_TURN_SECONDS
from service.jobs import EngineCall
from tests.service.test_scheduler import Bench, scenario


def test_bulk_waits_for_interactive_but_gets_its_turn() -> None:
    async def test(bench: Bench) -> None:
        bulk = bench.run(100, bulk=True, model="b")
        await asyncio.sleep(0)
        waiting = bench.run(100, bulk=True, model="b")
        begun = time.monotonic()
        ended = begun
        while not waiting.done():
            await asyncio.gather(*(bench.run(100) for _ in range(4)))
            ended = time.monotonic()
            assert ended - begun < 4 * BULK_TURN_SECONDS, "bulk work stands still"
        await asyncio.gather(bulk, waiting)
        assert ended - begun > BULK_TURN_SECONDS / 2, "bulk work went before interactive work"

    scenario(test)


def test_one_bulk_slice_at_a_time() -> None:
    async def test(bench: Bench) -> None:
        bench.engine.extra_seconds = 0.1  # or the first could have ended on a machine that is busy
        slices = [bench.run(100, bulk=True) for _ in range(5)]
        await asyncio.sleep(0.005)
        assert len(bench.engine.calls) == 1
        bench.engine.extra_seconds = 0.0
        interactive = await bench.run(10)
        assert interactive.tolist() == [[10]]
        assert bench.engine.calls[1] == ("a", [10])
        await asyncio.gather(*slices)

    scenario(test)


def test_what_is_asked_aside_goes_behind_requests_and_in_turn_with_bulk_work() -> None:
    async def test(bench: Bench) -> None:
        first = bench.run(200)
        await asyncio.sleep(0)
        behind = [bench.run(tokens, bulk=True) for tokens in (40, 50)]
        behind += [bench.run(tokens, bulk=True, aside=True) for tokens in (41, 51)]
        await asyncio.sleep(0)
        await asyncio.gather(first, bench.run(10), *behind)
        order = [lengths[0] for _, lengths in bench.engine.calls]
        assert order == [200, 10, 41, 40, 51, 50]

    scenario(test)


def test_what_is_asked_aside_says_nothing_of_the_engine_that_serves() -> None:
    async def test(bench: Bench) -> None:
        seen: list[EngineCall] = []
        bench.scheduler.taps["a"] = lambda call, _outputs: seen.append(call)
        before = bench.lines["a"].predict_ms(100)
        bench.engine.extra_seconds = 0.1
        await bench.run(100, bulk=True, aside=True)
        assert bench.lines["a"].predict_ms(100) == before
        assert seen == []
        await bench.run(100)
        assert bench.lines["a"].predict_ms(100) > before
        assert seen[0].took_ms > 100

    scenario(test)

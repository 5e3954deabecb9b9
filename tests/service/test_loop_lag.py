"""A busy event loop is noticed, and requests are charged for it."""

from __future__ import annotations

import asyncio
import time

from service.api.loop_lag import SAMPLE_SECONDS, LoopLag


def test_a_loop_that_is_held_up_has_a_lag_that_is_forgotten() -> None:
    async def main() -> None:
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(3 * SAMPLE_SECONDS)
        time.sleep(0.2)  # noqa: ASYNC251, the loop is to be held up
        await asyncio.sleep(SAMPLE_SECONDS / 10)
        held_up = lag.seconds
        assert held_up >= 2 * (0.2 - SAMPLE_SECONDS)
        await asyncio.sleep(0.5)
        assert lag.seconds < held_up / 2
        lag.stop()
        assert lag.seconds == 0

    asyncio.run(main())

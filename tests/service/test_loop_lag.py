"""A busy event loop is noticed, and requests are charged for it."""

from __future__ import annotations

import asyncio
import time

from service.api.loop_lag import LARGEST_SECONDS, SAMPLE_SECONDS, LoopLag


def test_a_loop_that_is_held_up_has_a_lag_that_is_forgotten() -> None:
    async def main() -> None:
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(3 * SAMPLE_SECONDS)
        time.sleep(0.2)  # noqa: ASYNC251, the loop is to be held up
        await asyncio.sleep(SAMPLE_SECONDS / 10)
        assert lag.seconds == LARGEST_SECONDS
        await asyncio.sleep(0.5)
        assert lag.seconds < LARGEST_SECONDS / 2
        lag.stop()
        assert lag.seconds == 0

    asyncio.run(main())


def test_a_short_lag_counts_twice_what_a_timer_was_late() -> None:
    async def main() -> None:
        lag = LoopLag()
        lag.start()
        await asyncio.sleep(3 * SAMPLE_SECONDS)
        begun = time.monotonic()
        time.sleep(SAMPLE_SECONDS + 0.006)  # noqa: ASYNC251, the loop is to be held up
        await asyncio.sleep(SAMPLE_SECONDS / 10)
        held_up_seconds = time.monotonic() - begun
        late_seconds = lag.seconds / 2
        lag.stop()
        assert 0.006 - 0.001 <= late_seconds <= held_up_seconds

    asyncio.run(main())

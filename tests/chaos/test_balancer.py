"""A balancer that goes by /readyz, takes turns, and retries nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from chaos.balancer import Balancer
from chaos.connections import Broken
from tests.chaos.server import reply, serving


def test_it_sends_to_who_is_ready_in_turns_and_to_nobody_else() -> None:
    async def run() -> None:
        status = {"one": 200, "other": 200}
        async with (
            serving(lambda _: reply(status["one"])) as (one, _),
            serving(lambda _: reply(status["other"])) as (other, _),
        ):
            balancer = Balancer([("127.0.0.1", one), ("127.0.0.1", other)])
            with pytest.raises(Broken, match="no instance is ready"):
                balancer.choose()  # none has said so yet
            balancing = asyncio.create_task(balancer.run())
            await asyncio.sleep(0.3)
            chosen = [balancer.choose() for _ in range(4)]
            assert chosen[0] is chosen[2]
            assert chosen[1] is chosen[3]
            assert chosen[0] is not chosen[1]
            status["one"] = 503
            await asyncio.sleep(0.3)
            assert balancer.choose() is balancer.choose()
            balancing.cancel()
            with suppress(asyncio.CancelledError):
                await balancing

    asyncio.run(run())

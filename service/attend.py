"""Has Triton watched while the service runs, and brought back where it is ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from service.keeper import Revivable, TritonKeeper
from service.metrics import Metrics
from service.pulse import Backend, Pulse
from service.watch import Served, Watch

# Calls of each version that are left to run where nobody waits for them any more: one may be stuck
# at each instance, and there are seldom more than two.
LEFT_CALLS = 2


def pulse_of(client: Backend, kept: Revivable | None) -> Pulse:
    """The pulse of a Triton; `kept` is it where it is ours, and answers us alone."""
    return Pulse(client, LEFT_CALLS if kept is not None else 0, in_order=kept is not None)


@asynccontextmanager
async def attended(
    pulse: Pulse,
    served: Served,
    metrics: Metrics,
    connect: Callable[[str], Backend],
    kept: Revivable | None,
    instances: Mapping[str, int],
) -> AsyncIterator[None]:
    """Watch Triton beside the block; `connect` makes clients for where it is after a restart."""
    healer = TritonKeeper(kept, pulse, served, connect, metrics) if kept is not None else None
    watch = Watch(pulse, served, healer, lambda model: instances.get(model, 1))
    watching = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching

"""What only a service with a Triton of its own can do: promote engines while it serves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.control import Caller, ControlRequest, ControlServer
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.promotion import WATCH_SECONDS, Promoter
from service.settings import Settings
from service.shadow import Shadowing
from service.triton.loader import VersionLoader


@dataclass(frozen=True)
class HostedTriton:
    """The way in for commands, and what makes a loader inside the event loop."""

    control: socket.socket
    make_loader: Callable[[], VersionLoader]
    watch_seconds: float = WATCH_SECONDS


@asynccontextmanager
async def promotions(
    hosted: HostedTriton | None,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
) -> AsyncIterator[None]:
    """Answer commands for as long as the block runs; none where Triton is not ours."""
    if hosted is None:
        yield
        return
    loader = hosted.make_loader()
    promoter = Promoter(
        settings.repository,
        pipeline,
        loader,
        metrics,
        budget_ms=settings.interactive_timeout_ms,
        watch_seconds=hosted.watch_seconds,
    )

    async def answer(request: ControlRequest, caller: Caller) -> dict[str, Any]:
        if request.do == "rollback":
            return await promoter.rollback(request.model)
        shadowing: Shadowing | None = None
        if request.shadow_seconds is not None:
            shadowing = Shadowing(
                request.shadow_seconds, request.shadow_share, caller.tell, caller.gone
            )
        return await promoter.promote(request.model, request.version, request.force, shadowing)

    server = ControlServer(hosted.control, answer)
    await server.start()
    try:
        yield
    finally:
        await server.close()
        await promoter.close()
        await loader.close()

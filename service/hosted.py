"""What only a service with a Triton of its own can do: promote engines while it serves."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from service.control import Caller, ControlRequest, ControlServer
from service.errors import BackendUnavailable, PromotionError
from service.metrics import Metrics
from service.pipeline import Pipeline
from service.promotion import WATCH_SECONDS, Promoter
from service.pulse import Pulse
from service.settings import Settings
from service.shadow import Shadowing
from service.triton.loader import VersionLoader
from service.triton.server import NotStarted


@dataclass(frozen=True)
class HostedTriton:
    """The way in for commands, and what makes a loader inside the event loop."""

    control: socket.socket
    make_loader: Callable[[], VersionLoader]
    watch_seconds: float = WATCH_SECONDS


class LoaderAnew:
    """Has each load made by a new loader: Triton may have been started anew since the last one.

    A version that could not be loaded then is left out, so that another can take its place.
    """

    def __init__(self, make_loader: Callable[[], VersionLoader], pulse: Pulse) -> None:
        self._make_loader = make_loader
        self._pulse = pulse

    async def keep(self, model: str, versions: Collection[str]) -> None:
        """Have exactly these versions of a model loaded, and return when they are.

        Raises:
            PromotionError: Triton is not there, or one cannot be loaded.
        """
        try:
            self._pulse.require_up()
            loader = self._make_loader()
        except (BackendUnavailable, NotStarted) as error:
            raise PromotionError(
                f"no version of {model} can be loaded now ({error}); try again once /readyz says "
                "that all is ready"
            ) from error
        try:
            unloadable = {version for name, version in self._pulse.unloadable if name == model}
            await loader.keep(model, set(versions) - unloadable or versions)
        finally:
            await loader.close()


@asynccontextmanager
async def promotions(
    hosted: HostedTriton | None,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    pulse: Pulse,
) -> AsyncIterator[Promoter | None]:
    """Answer commands for as long as the block runs; none where Triton is not ours.

    Yields who promotes, for others that may ask it.
    """
    if hosted is None:
        yield None
        return
    loader = LoaderAnew(hosted.make_loader, pulse)
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
        yield promoter
    finally:
        await server.close()
        await promoter.close()

"""Which versions of a model are loaded: the one that serves, one on trial, those still asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Protocol

from service.errors import PromotionError
from service.models import ServedModel
from service.pipeline import Pipeline

log = logging.getLogger("sub50.promotion")

RETIRE_POLL_SECONDS = 0.05


class Loader(Protocol):
    """Whatever loads versions: the embedded Triton in life."""

    async def keep(self, model: str, versions: Collection[str]) -> None:
        """Have exactly these versions loaded, or raise PromotionError with all as before."""


class VersionKeeper:
    """Loads a version beside the one that serves, and lets go of versions that nobody asks.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(self, pipeline: Pipeline, loader: Loader, watch_seconds: float) -> None:
        self._pipeline = pipeline
        self._loader = loader
        self._watch_seconds = watch_seconds
        self._on_trial: dict[str, str] = {}
        # Versions that may still be asked, each with the task that will let go of it.
        self._retiring: dict[ServedModel, asyncio.Task[None]] = {}
        self._loading = asyncio.Lock()

    async def close(self) -> None:
        """Give up what waits for old requests; Triton ends with us."""
        tasks = list(self._retiring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def not_yet_unloaded(self, candidate: ServedModel) -> ServedModel:
        """The same version as it is still loaded, which going back at once finds; or `candidate`.

        Raises:
            PromotionError: another engine of that number still answers old requests.
        """
        for model in self._retiring:
            if (model.name, model.version) != (candidate.name, candidate.version):
                continue
            if model.card != candidate.card:
                raise PromotionError(
                    f"another engine of the name {candidate.name} {candidate.version} still "
                    "answers old requests; try again in a moment"
                )
            return model
        return candidate

    @asynccontextmanager
    async def loaded(self, candidate: ServedModel) -> AsyncIterator[None]:
        """The candidate loaded beside what is in use; let go of, should the block fail."""
        name = candidate.name
        self._on_trial[name] = candidate.version
        try:
            await self._keep(name)
            yield
        except BaseException:
            del self._on_trial[name]
            await self._let_go(name)
            raise
        del self._on_trial[name]

    def replaced(self, before: ServedModel, after: ServedModel) -> None:
        """Unload `before` once its last request is answered; `after` serves and stays."""
        self._retiring[before] = asyncio.get_running_loop().create_task(self._retire(before))
        retiring = self._retiring.pop(after, None)
        if retiring is not None:
            retiring.cancel()

    async def _retire(self, model: ServedModel) -> None:
        """Unload a version once its last request is answered, unless it serves again."""
        await asyncio.sleep(self._watch_seconds)
        while model.in_flight:  # noqa: ASYNC110  (an event would cost every request something)
            await asyncio.sleep(RETIRE_POLL_SECONDS)
        del self._retiring[model]
        await self._let_go(model.name)

    async def _let_go(self, name: str) -> None:
        """Have no more versions loaded than are in use."""
        try:
            await self._keep(name)
        except PromotionError as error:
            log.error("an unused version of %s stays loaded: %s", name, error)

    async def _keep(self, name: str) -> None:
        """Have the versions loaded that serve, are on trial, or may still be asked."""
        async with self._loading:
            in_use = {self._pipeline.models.named(name).version}
            in_use |= {model.version for model in self._retiring if model.name == name}
            if name in self._on_trial:
                in_use.add(self._on_trial[name])
            await self._loader.keep(name, in_use)

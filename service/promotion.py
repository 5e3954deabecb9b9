"""Serve another version of a model while requests come in. One step a line in `_change`.

Until the switch nothing of the served version is touched; whatever fails takes the candidate back.
The switch is one assignment in the event loop: a request that was looked up before it ends with the
version it began with. Should the new version fail in its first seconds, the old one, which is
still loaded, takes over again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from core.versions import (
    Served,
    VersionError,
    conflicts,
    read_served,
    write_served,
)
from service.errors import BackendError, PromotionError
from service.golden import Golden, answers_at_all, compare
from service.metrics import Metrics
from service.models import ServedModel, load_version
from service.pipeline import Pipeline
from service.scheduler import InferenceBackend

log = logging.getLogger("sub50.promotion")

# So long the version before stays loaded, ready to take over again.
WATCH_SECONDS = 5.0
RETIRE_POLL_SECONDS = 0.05


class Loader(Protocol):
    """Whatever loads versions: the embedded Triton in life."""

    async def keep(self, model: str, versions: set[str]) -> None:
        """Have exactly these versions loaded, or raise PromotionError with all as before."""


class Promoter:
    """Promotes and rolls back the models of one service, one change of a model at a time.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(
        self,
        repository: Path,
        pipeline: Pipeline,
        backend: InferenceBackend,
        loader: Loader,
        metrics: Metrics,
        *,
        budget_ms: float,
        watch_seconds: float,
    ) -> None:
        self._repository = repository
        self._pipeline = pipeline
        self._backend = backend
        self._loader = loader
        self._metrics = metrics
        self._budget_ms = budget_ms
        self._watch_seconds = watch_seconds
        self._under_way: set[str] = set()
        self._on_trial: dict[str, str] = {}
        # Versions that may still be asked, each with the task that will let go of it.
        self._retiring: dict[ServedModel, asyncio.Task[None]] = {}
        self._loading = asyncio.Lock()

    async def promote(self, name: str, version: str, force: bool = False) -> dict[str, Any]:
        """Serve `version` of a model from now on; returns what was found on the way.

        `force` lets its labels differ from those of the served version.

        Raises:
            PromotionError: it cannot be served; the one before still is.
            UnknownModel: there is no model of that name.
        """
        served = self._pipeline.models.named(name)
        async with self._alone(name):
            state = self._state(served)
            if version == served.version:
                return {"model": name, "version": version, "unchanged": True}
            found = await self._change(served, state.promoted(version), force, is_rollback=False)
        self._metrics.promotions.labels(name, "promoted").inc()
        return found

    async def rollback(self, name: str) -> dict[str, Any]:
        """Serve the version of a model again that served before; returns like `promote`.

        It has served already: it only has to answer, however its labels differ.

        Raises:
            PromotionError: there is none, or it cannot be served; the one before still is.
            UnknownModel: there is no model of that name.
        """
        served = self._pipeline.models.named(name)
        async with self._alone(name):
            try:
                state = self._state(served).rolled_back(self._repository / name)
            except VersionError as error:
                raise PromotionError(str(error)) from error
            found = await self._change(served, state, force=True, is_rollback=True)
        self._metrics.promotions.labels(name, "rolled_back").inc()
        return found

    async def close(self) -> None:
        """Give up what waits for old requests; Triton ends with us."""
        tasks = list(self._retiring.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        if name in self._under_way:
            raise PromotionError(
                f"another promotion of {name} is under way; try again once it is through"
            )
        self._under_way.add(name)
        try:
            yield
        except PromotionError as error:
            log.warning("%s", error)
            raise
        finally:
            self._under_way.discard(name)

    def _state(self, served: ServedModel) -> Served:
        """The state on disk, as far as it is of what this service serves."""
        try:
            state = read_served(self._repository / served.name)
        except VersionError as error:
            raise PromotionError(str(error)) from error
        if state is None or state.version != served.version:
            return Served(version=served.version)
        return state

    async def _change(
        self, served: ServedModel, state: Served, force: bool, *, is_rollback: bool
    ) -> dict[str, Any]:
        begun = time.monotonic()
        name, folder = served.name, self._repository / served.name
        before = self._state(served)
        try:
            candidate = await self._read(served, folder / state.version, force)
            async with self._loaded(candidate):
                golden = await self._try_out(served, candidate, force, is_rollback)
                await asyncio.to_thread(write_served, folder, state)
                watch = self._watch(candidate)
                self._switch(candidate, golden.cost_factor if golden else 1.0)
                switched = time.monotonic()
        except (PromotionError, VersionError) as error:
            self._metrics.promotions.labels(name, "refused").inc()
            raise PromotionError(str(error)) from error
        await self._stay_or_go_back(watch, served, before, golden)
        log.info("version %s of %s serves, before it %s", candidate.version, name, served.version)
        return {
            "model": name,
            "version": candidate.version,
            "before": served.version,
            "seconds_to_switch": round(switched - begun, 3),
            "golden": asdict(golden) if golden else None,
        }

    async def _read(self, served: ServedModel, version: Path, force: bool) -> ServedModel:
        """The candidate as it lies on disk, fit to take the place of the served version."""
        candidate = await asyncio.to_thread(load_version, version, served)
        for model in self._retiring:
            if (model.name, model.version) != (candidate.name, candidate.version):
                continue
            if model.card != candidate.card:
                raise PromotionError(
                    f"another engine of the name {candidate.name} {candidate.version} still "
                    "answers old requests; try again in a moment"
                )
            candidate = model  # not yet unloaded: what going back at once finds
        against = conflicts(served.card, candidate.card, force)
        if against:
            raise PromotionError(
                f"version {candidate.version} of {served.name} cannot take over: "
                f"{'; '.join(against)}"
            )
        return candidate

    @asynccontextmanager
    async def _loaded(self, candidate: ServedModel) -> AsyncIterator[None]:
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

    async def _try_out(
        self, served: ServedModel, candidate: ServedModel, force: bool, is_rollback: bool
    ) -> Golden | None:
        if is_rollback:
            await answers_at_all(candidate, self._backend)
            return None
        return await compare(
            served, candidate, self._backend, budget_ms=self._budget_ms, same_labels=not force
        )

    def _switch(self, model: ServedModel, cost_factor: float) -> None:
        before = self._pipeline.switch(model, cost_factor)
        self._metrics.serve_engine(model.engine_info, before.engine_info)
        self._retiring[before] = asyncio.get_running_loop().create_task(self._retire(before))
        retiring = self._retiring.pop(model, None)
        if retiring is not None:
            retiring.cancel()

    def _watch(self, model: ServedModel) -> asyncio.Future[BackendError]:
        future: asyncio.Future[BackendError] = asyncio.get_running_loop().create_future()
        self._pipeline.scheduler.watches[model.name, model.version] = future
        return future

    async def _stay_or_go_back(
        self,
        watch: asyncio.Future[BackendError],
        served: ServedModel,
        before: Served,
        golden: Golden | None,
    ) -> None:
        """Wait for the first seconds to pass; serve the old version again if calls fail in them."""
        name = served.name
        candidate = self._pipeline.models.named(name)
        try:
            async with asyncio.timeout(self._watch_seconds):
                failure = await watch
        except TimeoutError:
            return
        finally:
            self._pipeline.scheduler.watches.pop((name, candidate.version), None)
        self._switch(served, 1 / golden.cost_factor if golden else 1.0)
        self._metrics.promotions.labels(name, "reverted").inc()
        with suppress(VersionError):  # the disk is full, say: what is told below holds all the same
            await asyncio.to_thread(write_served, self._repository / name, before)
        raise PromotionError(
            f"version {candidate.version} of {name} failed once it was served ({failure}); "
            f"version {served.version} serves again"
        )

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

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
from typing import Any

from core.versions import (
    Served,
    VersionError,
    conflicts,
    read_served,
    write_served,
)
from service.disk import on_disk
from service.errors import BackendError, PromotionError
from service.golden import Golden, answers_at_all, compare
from service.metrics import Metrics
from service.models import ServedModel, load_version
from service.pipeline import Pipeline
from service.shadow import Shadowing, require_same_tokens, shadow
from service.shadow_record import Findings
from service.version_keeper import Loader, VersionKeeper

log = logging.getLogger("sub50.promotion")

# So long the version before stays loaded, ready to take over again.
WATCH_SECONDS = 5.0


class Promoter:
    """Promotes and rolls back the models of one service, one change of a model at a time.

    Make it inside a running event loop and use it in that loop only.
    """

    def __init__(
        self,
        repository: Path,
        pipeline: Pipeline,
        loader: Loader,
        metrics: Metrics,
        *,
        budget_ms: float,
        watch_seconds: float,
    ) -> None:
        self._repository = repository
        self._pipeline = pipeline
        self._metrics = metrics
        self._budget_ms = budget_ms
        self._watch_seconds = watch_seconds
        self._under_way: set[str] = set()
        self._versions = VersionKeeper(pipeline, loader, watch_seconds)

    async def promote(
        self, name: str, version: str, force: bool = False, shadowing: Shadowing | None = None
    ) -> dict[str, Any]:
        """Serve `version` of a model from now on; returns what was found on the way.

        `force` lets its labels differ from those of the served version. With `shadowing` it first
        has to hold on copies of live requests.

        Raises:
            PromotionError: it cannot be served; the one before still is.
            UnknownModel: there is no model of that name.
        """
        served = self._pipeline.models.named(name)
        async with self._alone(name):
            before = await self._state(served)
            if version == served.version:
                return {"model": name, "version": version, "unchanged": True}
            state = before.promoted(version)
            found = await self._change(
                served, before, state, force, is_rollback=False, shadowing=shadowing
            )
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
            before = await self._state(served)
            try:
                state = await on_disk(before.rolled_back, self._repository / name)
            except VersionError as error:
                raise PromotionError(str(error)) from error
            found = await self._change(served, before, state, force=True, is_rollback=True)
        self._metrics.promotions.labels(name, "rolled_back").inc()
        return found

    async def close(self) -> None:
        """Give up what waits for old requests; Triton ends with us."""
        await self._versions.close()

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

    async def _state(self, served: ServedModel) -> Served:
        """The state on disk, as far as it is of what this service serves."""
        try:
            state = await on_disk(read_served, self._repository / served.name)
        except VersionError as error:
            raise PromotionError(str(error)) from error
        if state is None or state.version != served.version:
            return Served(version=served.version)
        return state

    async def _change(
        self,
        served: ServedModel,
        before: Served,
        state: Served,
        force: bool,
        *,
        is_rollback: bool,
        shadowing: Shadowing | None = None,
    ) -> dict[str, Any]:
        begun = time.monotonic()
        name, folder = served.name, self._repository / served.name
        try:
            candidate = await self._read(served, folder / state.version, force)
            if shadowing is not None:
                require_same_tokens(served, candidate)
            async with self._versions.loaded(candidate):
                golden = await self._try_out(served, candidate, force, is_rollback)
                shadowed = await self._shadowed(served, candidate, force, shadowing)
                await on_disk(write_served, folder, state)
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
            "shadow": asdict(shadowed) if shadowed else None,
        }

    async def _read(self, served: ServedModel, version: Path, force: bool) -> ServedModel:
        """The candidate as it lies on disk, fit to take the place of the served version."""
        candidate = await on_disk(load_version, version, served)
        candidate = self._versions.not_yet_unloaded(candidate)
        against = conflicts(served.card, candidate.card, force)
        if against:
            raise PromotionError(
                f"version {candidate.version} of {served.name} cannot take over: "
                f"{'; '.join(against)}"
            )
        return candidate

    async def _try_out(
        self, served: ServedModel, candidate: ServedModel, force: bool, is_rollback: bool
    ) -> Golden | None:
        if is_rollback:
            await answers_at_all(candidate, self._pipeline.scheduler)
            return None
        return await compare(
            served,
            candidate,
            self._pipeline.scheduler,
            budget_ms=self._budget_ms,
            same_labels=not force,
        )

    async def _shadowed(
        self,
        served: ServedModel,
        candidate: ServedModel,
        force: bool,
        shadowing: Shadowing | None,
    ) -> Findings | None:
        if shadowing is None:
            return None
        return await shadow(
            served,
            candidate,
            self._pipeline.scheduler,
            self._metrics,
            shadowing,
            budget_ms=self._budget_ms,
            same_labels=not force,
        )

    def _switch(self, model: ServedModel, cost_factor: float) -> None:
        before = self._pipeline.switch(model, cost_factor)
        self._metrics.serve_engine(model.engine_info, before.engine_info)
        self._versions.replaced(before, model)

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
            await on_disk(write_served, self._repository / name, before)
        raise PromotionError(
            f"version {candidate.version} of {name} failed once it was served ({failure}); "
            f"version {served.version} serves again"
        )

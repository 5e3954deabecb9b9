"""Promotions over HTTP, for who has a management key: the same promoter that commands reach.

There is nothing to upload: a version is put into the repository by who may write there, and its
files are checked when it is loaded.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from core.versions import VersionError, promotion_lock
from service.api.access import Access
from service.api.body import ReceivedBytes, read_body, require_json
from service.api.direct import DirectRoute
from service.api.exchange import REQUEST_ID, parse, problem_response, request_id_of
from service.api.v1 import body_schema, statuses
from service.disk import on_disk
from service.errors import BackendUnavailable, NotPromoted, PromotionError, RequestError
from service.pipeline import Pipeline
from service.promotion import Promoter
from service.schemas import ProblemBody, RequestModel, ResponseModel
from service.settings import Settings

log = logging.getLogger("sub50.manage")

MAX_BODY_BYTES = 4096
# Of all bodies that have come in part.
MAX_RECEIVED_BYTES = 1 << 20
NOT_PROMOTED = {"model": ProblemBody, "description": "The version before still serves"}
Change = Callable[[Promoter], Awaitable[dict[str, Any]]]


class PromoteRequest(RequestModel):
    """Body of POST /v1/manage/models/{name}/promote."""

    version: str = Field(
        pattern=r"^[0-9]{1,18}$", description="A version folder of the model in the repository."
    )
    force: bool = Field(False, description="Let labels, and answers to golden requests, differ.")


class PromotedBody(ResponseModel):
    """What serves now, and what was found on the way."""

    model: str
    version: str
    before: str | None = Field(None, description="The version that served until now.")
    unchanged: bool | None = Field(None, description="It served already.")
    seconds_to_switch: float | None = None
    golden: dict[str, Any] | None = Field(None, description="Both versions on golden requests.")
    shadow: dict[str, Any] | None = None


class Management:
    """The way to the promoter, which there is only while the service runs."""

    def __init__(self, settings: Settings, pipeline: Pipeline, access: Access) -> None:
        self.promoter: Promoter | None = None
        self.received = ReceivedBytes(MAX_RECEIVED_BYTES)
        self._repository = settings.repository
        self._pipeline = pipeline
        self._access = access

    async def answer(
        self, request: Request, name: str, what: str, read: Callable[[], Awaitable[Change]]
    ) -> Response:
        """Make the change of the model `name` that `read` finds asked for; tell what came of it."""
        request_id = request_id_of(request)
        try:
            holder = self._access.authorize_manager(request)
            self._pipeline.models.named(name)
            change = await read()
            log.info("%s asks over HTTP to %s %s, request %s", holder, what, name, request_id)
            content = await self._changed(self._repository / name, change)
        except RequestError as error:
            return problem_response(error, request_id)
        headers = {REQUEST_ID: request_id}
        return Response(json.dumps(content), headers=headers, media_type="application/json")

    async def _changed(self, folder: Path, change: Change) -> dict[str, Any]:
        if self.promoter is None:
            raise BackendUnavailable("the service is not yet ready, or stops; try again")
        try:
            async with _held(folder):
                return await change(self.promoter)
        except (PromotionError, VersionError) as error:
            raise NotPromoted(str(error)) from error


@asynccontextmanager
async def _held(folder: Path) -> AsyncIterator[None]:
    """A model held for one promotion, by the lock that commands take too."""
    lock = ExitStack()
    await on_disk(lock.enter_context, promotion_lock(folder))
    try:
        yield
    finally:
        await on_disk(lock.close)


def router(management: Management) -> APIRouter:
    """Routes over one promoter."""
    routes = APIRouter(
        tags=["management"],
        prefix="/v1/manage/models/{name}",
        route_class=DirectRoute,
        responses={200: {"model": PromotedBody}, 409: NOT_PROMOTED, **statuses(401, 404, 503)},
    )

    @routes.post(
        "/promote",
        summary="Serve another version of a model",
        responses=statuses(400, 408, 413, 415, 422, 429),
        openapi_extra=body_schema(PromoteRequest, {"version": "2"}),
    )
    async def promote(request: Request, name: str) -> Response:
        async def read() -> Change:
            body = await read_body(request, MAX_BODY_BYTES, management.received)
            require_json(request)
            asked = parse(PromoteRequest, body)
            return lambda promoter: promoter.promote(name, asked.version, asked.force)

        return await management.answer(request, name, "promote", read)

    @routes.post("/rollback", summary="Serve the version that served before")
    async def rollback(request: Request, name: str) -> Response:
        async def read() -> Change:
            return lambda promoter: promoter.rollback(name)

        return await management.answer(request, name, "roll back", read)

    return routes

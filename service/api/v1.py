"""The service's own protocol: /v1/classify, /v1/summarize, /v1/models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from core.card import EngineCard
from service.api.direct import DirectRoute
from service.api.exchange import Exchange, problem_response, request_id_of
from service.call import Call
from service.errors import RequestError
from service.pipeline import Pipeline
from service.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    ModelList,
    ModelSummary,
    ProblemBody,
    SummarizeRequest,
    SummarizeResponse,
)

PROBLEM_STATUSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody, "description": description}
    for status, description in {
        400: "The body is not JSON",
        401: "No key or a wrong one",
        404: "Unknown model",
        408: "The body comes too slowly",
        413: "Over a limit",
        415: "The body is not said to be JSON",
        422: "A field is not valid",
        429: "Would not be answered in time, or the key is over its rate",
        503: "The model server is not ready",
        504: "The deadline has passed",
    }.items()
}


def statuses(*chosen: int) -> dict[int | str, dict[str, Any]]:
    """Some of the problems, for routes that know only these."""
    return {status: PROBLEM_STATUSES[status] for status in chosen}


def body_schema(schema: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """OpenAPI for a body that the route reads itself."""
    media = {"schema": schema.model_json_schema(), "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": media}}}


def router(pipeline: Pipeline, exchange: Exchange) -> APIRouter:
    """Routes over one pipeline."""
    routes = APIRouter(tags=["sub50"], route_class=DirectRoute)

    async def run_classify(parsed: ClassifyRequest, call: Call) -> bytes:
        return (await pipeline.classify(parsed, call)).model_dump_json().encode()

    async def run_summarize(parsed: SummarizeRequest, call: Call) -> bytes:
        return (await pipeline.summarize(parsed, call)).model_dump_json().encode()

    @routes.post(
        "/v1/classify",
        summary="Label texts",
        responses={**PROBLEM_STATUSES, 200: {"model": ClassifyResponse}},
        openapi_extra=body_schema(ClassifyRequest, {"input": "A wonderful little film."}),
    )
    async def classify(request: Request) -> Response:
        return await exchange.answer(request, "/v1/classify", ClassifyRequest, run_classify)

    @routes.post(
        "/v1/summarize",
        summary="Choose the sentences that matter",
        responses={**PROBLEM_STATUSES, 200: {"model": SummarizeResponse}},
        openapi_extra=body_schema(
            SummarizeRequest, {"input": "A document …", "model": "contracts", "ratio": 0.15}
        ),
    )
    async def summarize(request: Request) -> Response:
        return await exchange.answer(request, "/v1/summarize", SummarizeRequest, run_summarize)

    @routes.get(
        "/v1/models",
        summary="The models served",
        response_model=ModelList,
        responses=statuses(401, 429),
        operation_id="list_models",
    )
    async def list_models(request: Request) -> Response:
        try:
            exchange.authorize(request)
        except RequestError as error:
            return problem_response(error, request_id_of(request))
        models = [summary_of_card(model.card) for model in pipeline.models.all()]
        content = ModelList(models=models).model_dump_json()
        return Response(content, media_type="application/json")

    @routes.get(
        "/v1/models/{name}",
        summary="One model's card",
        response_model=EngineCard,
        responses=statuses(401, 404, 429),
        operation_id="show_model",
    )
    async def show_model(request: Request, name: str) -> Response:
        try:
            exchange.authorize(request)
            card = pipeline.models.named(name).card
        except RequestError as error:
            return problem_response(error, request_id_of(request))
        return Response(card.model_dump_json(), media_type="application/json")

    return routes


def summary_of_card(card: EngineCard) -> ModelSummary:
    """The part of a card that a list shows."""
    return ModelSummary(**card.model_dump(include=set(ModelSummary.model_fields)))

"""Protocols that clients of other servers already speak.

`POST /predict` is Text Embeddings Inference's classification route; `POST /hf/{model}` is the
Hugging Face task protocol, so that `huggingface_hub.InferenceClient(model=URL)` works unchanged.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from core.card import EngineCard
from core.tokenizer import Truncate
from service.api.direct import DirectRoute
from service.api.exchange import Exchange
from service.api.v1 import PROBLEM_STATUSES, body_schema
from service.call import Call
from service.errors import FieldError, InvalidFields
from service.pipeline import Pipeline
from service.schemas import (
    Classification,
    ClassifyRequest,
    HuggingFaceRequest,
    PredictAnswer,
    PredictRequest,
    SummarizationLimits,
    SummarizationParameters,
    SummarizeRequest,
    TaskAnswer,
    TextClassificationParameters,
)

ParametersT = TypeVar("ParametersT", bound=BaseModel)

PREDICT_MODEL = "sentiment"
# What the Hugging Face task returns when top_k is not given.
HF_DEFAULT_TOP_K = 5
# What makes scores of logits, by the card's problem type.
NATURAL_FUNCTIONS = {"single_label": "softmax", "multi_label": "sigmoid", "regression": "none"}


def router(pipeline: Pipeline, exchange: Exchange) -> APIRouter:
    """Routes over one pipeline."""
    routes = APIRouter(tags=["compatible"], responses=PROBLEM_STATUSES, route_class=DirectRoute)

    async def run_predict(parsed: PredictRequest, call: Call) -> bytes:
        texts, single = predict_texts(parsed.inputs)
        side: Truncate = "left" if parsed.truncation_direction.lower() == "left" else "right"
        request = ClassifyRequest(
            input=texts,
            model=PREDICT_MODEL,
            truncate=side if parsed.truncate else "error",
            raw_scores=parsed.raw_scores,
        )
        results = (await pipeline.classify(request, call)).results
        rows = [label_rows(result) for result in results]
        return _json(rows[0] if single else rows)

    async def run_task(model: str, parsed: HuggingFaceRequest, call: Call) -> bytes:
        card = pipeline.models.named(model).card
        if card.task == "summarize":
            return _json(await _summaries(pipeline, card, parsed, call))
        return _json(await _labels(pipeline, card, parsed, call))

    @routes.post(
        "/predict",
        summary="Label texts (Text Embeddings Inference's protocol)",
        responses={200: {"model": PredictAnswer}},
        openapi_extra=body_schema(PredictRequest, {"inputs": "A wonderful little film."}),
    )
    async def predict(request: Request) -> Response:
        return await exchange.answer(request, "/predict", PredictRequest, run_predict)

    @routes.post(
        "/hf/{model}",
        summary="Label or summarize (Hugging Face task protocol)",
        responses={200: {"model": TaskAnswer}},
        operation_id="huggingface",
        openapi_extra=body_schema(HuggingFaceRequest, {"inputs": "A wonderful little film."}),
    )
    async def huggingface(request: Request, model: str) -> Response:
        async def run(parsed: HuggingFaceRequest, call: Call) -> bytes:
            return await run_task(model, parsed, call)

        return await exchange.answer(request, "/hf/{model}", HuggingFaceRequest, run)

    return routes


def predict_texts(inputs: str | list[str] | list[list[str]]) -> tuple[list[str], bool]:
    """Texts of a TEI request, and whether its answer is that of a single text.

    Raises:
        InvalidFields: a pair of texts, which no model here takes, or an empty batch.
    """
    if isinstance(inputs, str):
        return [inputs], True
    if not inputs:
        raise InvalidFields([FieldError("inputs", "needs at least one text")])
    if isinstance(inputs[0], str):
        if len(inputs) != 1:
            message = (
                "a list of strings is a pair of texts, and the model takes single ones; "
                'send a batch as [["a"], ["b"]]'
            )
            raise InvalidFields([FieldError("inputs", message)])
        return [inputs[0]], True
    texts = []
    for i, sequence in enumerate(inputs):
        if len(sequence) != 1 or isinstance(sequence, str):
            raise InvalidFields([FieldError(f"inputs.{i}", "must be a list of one text")])
        texts.append(sequence[0])
    return texts, False


def label_rows(result: Classification) -> list[dict[str, Any]]:
    """One text's labels as both protocols list them, best first."""
    return [{"score": item.score, "label": item.label} for item in result.scores]


async def _labels(
    pipeline: Pipeline, card: EngineCard, parsed: HuggingFaceRequest, call: Call
) -> list[list[dict[str, Any]]]:
    parameters = _parameters(TextClassificationParameters, parsed.parameters)
    natural = NATURAL_FUNCTIONS[card.problem_type]
    if parameters.function_to_apply not in (None, "none", natural):
        message = f"model {card.name!r} gives {natural} scores"
        message += "" if natural == "none" else ", or none"
        raise InvalidFields([FieldError("parameters.function_to_apply", message)])
    request = ClassifyRequest(
        input=parsed.inputs,
        model=card.name,
        top_k=parameters.top_k or HF_DEFAULT_TOP_K,
        raw_scores=parameters.function_to_apply == "none",
    )
    return [label_rows(result) for result in (await pipeline.classify(request, call)).results]


async def _summaries(
    pipeline: Pipeline, card: EngineCard, parsed: HuggingFaceRequest, call: Call
) -> list[dict[str, Any]]:
    parameters = _parameters(SummarizationParameters, parsed.parameters)
    limits = parameters.generate_parameters.model_dump()
    own = parameters.model_dump(include=set(SummarizationLimits.model_fields), exclude_none=True)
    request = SummarizeRequest(input=parsed.inputs, model=card.name, **{**limits, **own})
    results = (await pipeline.summarize(request, call)).results
    return [{"summary_text": result.summary} for result in results]


def _parameters(schema: type[ParametersT], given: dict[str, Any]) -> ParametersT:
    """Check the task's parameters; None stands for a parameter that is not given."""
    try:
        return schema.model_validate({k: v for k, v in given.items() if v is not None})
    except ValidationError as error:
        raise InvalidFields(
            [
                FieldError(".".join(("parameters", *map(str, item["loc"]))), item["msg"])
                for item in error.errors(include_url=False)
            ]
        ) from None


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")

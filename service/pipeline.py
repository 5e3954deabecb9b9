"""The straight line of a request, top to bottom. Knows neither HTTP nor gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from core.sentences import Span, split_sentences
from core.tokenizer import Ids, Tokens, Truncate, pad
from service.admission import Admission, estimate_tokens, utf8_bytes
from service.call import Call
from service.errors import FieldError, InvalidFields, Sub50Error, TooLarge
from service.metrics import Metrics
from service.models import ModelCatalog, ServedModel
from service.postprocess import classifications, summary_of
from service.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    SummarizeRequest,
    SummarizeResponse,
)
from service.settings import Settings
from service.slices import Slice, plan_slices

Floats = npt.NDArray[np.float32]
ResultT = TypeVar("ResultT")

PRIORITY = {"interactive": 1, "bulk": 2}
# Below this many characters a thread costs more than the work that it would take off the loop.
INLINE_CHARACTERS = 8_000


class InferenceBackend(Protocol):
    """Whatever runs engines: Triton in life, a fake at its wire in tests."""

    async def infer(
        self,
        model: str,
        input_ids: Ids,
        attention_mask: Ids,
        *,
        timeout_ms: float,
        priority: int,
        request_id: str = "",
    ) -> Floats:
        """Output rows of one padded batch, float32 of shape (rows, width)."""


class Pipeline:
    """Checks, admits, tokenizes, infers and shapes; one method a task."""

    def __init__(
        self,
        models: ModelCatalog,
        backend: InferenceBackend,
        metrics: Metrics,
        settings: Settings,
    ) -> None:
        self.models = models
        self._backend = backend
        self._metrics = metrics
        self._settings = settings
        self._admission = Admission(settings.inflight_tokens, metrics)
        self._bulk_slots = {
            model.name: asyncio.Semaphore(settings.bulk_slices_in_flight) for model in models.all()
        }

    async def classify(self, request: ClassifyRequest, call: Call) -> ClassifyResponse:
        """Label every text of the request.

        Raises:
            RequestError: see the tree in `errors.py`.
        """
        model = self.models.get(request.model, "classify")
        with self._admit(model, request.input, call):
            with call.stage("tokenize"):
                side: Truncate = "left" if request.truncate == "left" else "right"
                encode = partial(model.tokenizer.encode, request.input, side)
                tokens = await _off_loop(sum(map(len, request.input)), encode)
                if request.truncate == "error":
                    _refuse_truncated(model, tokens)
            logits = await self._infer(model, tokens, call)
            with call.stage("postprocess"):
                results = classifications(
                    model.card, logits, tokens, request.top_k, request.raw_scores
                )
        return ClassifyResponse(model=model.name, version=model.card.version, results=results)

    async def summarize(self, request: SummarizeRequest, call: Call) -> SummarizeResponse:
        """Summarize every document of the request.

        Raises:
            RequestError: see the tree in `errors.py`.
        """
        model = self.models.get(request.model, "summarize")
        with self._admit(model, request.input, call):
            with call.stage("tokenize"):
                documents = [
                    await _off_loop(len(text), partial(_sentences, model, text))
                    for text in request.input
                ]
                tokens = [row for _, rows in documents for row in rows]
            outputs = await self._infer(model, tokens, call)
            with call.stage("postprocess"):
                results = []
                begin = 0
                for document, (spans, rows) in zip(request.input, documents, strict=True):
                    own = outputs[begin : begin + len(rows)]
                    begin += len(rows)
                    shape = partial(summary_of, model.card, document, spans, rows, own, request)
                    results.append(await _off_loop(len(document), shape))
        return SummarizeResponse(model=model.name, version=model.card.version, results=results)

    def _admit(
        self, model: ServedModel, texts: Sequence[str], call: Call
    ) -> AbstractContextManager[None]:
        """Check the texts and hold their estimated tokens for the length of the block."""
        call.model = model.name
        with call.stage("admit"):
            estimate = self._estimate(model, self._checked_sizes(texts))
            self._set_class(call, estimate)
            return self._admission.admit(estimate)

    def _checked_sizes(self, texts: Sequence[str]) -> list[int]:
        """UTF-8 bytes of each text, none of which is blank, too long, or one too many."""
        settings = self._settings
        if not texts:
            raise InvalidFields([FieldError("input", "needs at least one text")])
        if len(texts) > settings.max_inputs:
            raise TooLarge("input", f"{len(texts)} texts; at most {settings.max_inputs} are taken")
        blank = [i for i, text in enumerate(texts) if not text or text.isspace()]
        if blank:
            raise InvalidFields([FieldError(f"input.{i}", "is blank") for i in blank])
        sizes = [utf8_bytes(text) for text in texts]
        for i, size in enumerate(sizes):
            if size > settings.max_text_bytes:
                limit = settings.max_text_bytes
                raise TooLarge(f"input.{i}", f"{size} bytes; at most {limit} are taken")
        return sizes

    def _estimate(self, model: ServedModel, sizes: Sequence[int]) -> int:
        if model.card.task == "classify":
            return sum(min(estimate_tokens(size), model.card.max_tokens) for size in sizes)
        return sum(estimate_tokens(size) for size in sizes)

    def _set_class(self, call: Call, tokens: int) -> None:
        """Interactive or bulk, and the deadline that goes with it."""
        if tokens <= self._settings.interactive_tokens:
            call.set_class("interactive", self._settings.interactive_timeout_ms)
        else:
            call.set_class("bulk", self._settings.bulk_timeout_ms)

    async def _infer(self, model: ServedModel, tokens: Sequence[Tokens], call: Call) -> Floats:
        """Engine output of every row, float32 of shape (rows, width), in the rows' order."""
        with call.stage("infer"):
            lengths = [len(row.ids) for row in tokens]
            self._set_class(call, sum(lengths))
            self._metrics.tokens.labels(model.name).inc(sum(lengths))
            slices = plan_slices(lengths, self._settings.bulk_slice_tokens)
            if len(slices) == 1:
                parts = [await self._infer_slice(model, tokens, slices[0], call)]
            else:
                parts = await self._infer_slices(model, tokens, slices, call)
            outputs = np.empty((len(tokens), parts[0].shape[1]), dtype=np.float32)
            for piece, part in zip(slices, parts, strict=True):
                outputs[piece.rows] = part
            return outputs

    async def _infer_slices(
        self, model: ServedModel, tokens: Sequence[Tokens], slices: list[Slice], call: Call
    ) -> list[Floats]:
        """All slices; the first error cancels those that are not through."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._infer_slice(model, tokens, piece, call))
                    for piece in slices
                ]
        except* Sub50Error as failures:
            error: BaseException = failures
        else:
            return [task.result() for task in tasks]
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error

    async def _infer_slice(
        self, model: ServedModel, tokens: Sequence[Tokens], piece: Slice, call: Call
    ) -> Floats:
        if call.request_class == "bulk":
            async with self._bulk_slots[model.name]:
                return await self._send(model, tokens, piece, call)
        return await self._send(model, tokens, piece, call)

    async def _send(
        self, model: ServedModel, tokens: Sequence[Tokens], piece: Slice, call: Call
    ) -> Floats:
        rows = [tokens[i].ids for i in piece.rows]
        input_ids, attention_mask = pad(rows, piece.length)
        self._metrics.padding_ratio.observe(input_ids.size / sum(len(row) for row in rows))
        return await self._backend.infer(
            model.name,
            input_ids,
            attention_mask,
            timeout_ms=call.remaining_ms(),
            priority=PRIORITY[call.request_class],
            request_id=call.request_id,
        )


async def _off_loop(characters: int, work: Callable[[], ResultT]) -> ResultT:
    """Result of `work`, from a thread where the text is long enough to hold up the loop."""
    return await asyncio.to_thread(work) if characters > INLINE_CHARACTERS else work()


def _sentences(model: ServedModel, document: str) -> tuple[list[Span], list[Tokens]]:
    spans = split_sentences(document)
    return spans, model.tokenizer.encode([document[span.start : span.end] for span in spans])


def _refuse_truncated(model: ServedModel, tokens: Sequence[Tokens]) -> None:
    limit = model.card.max_tokens
    fields = [
        FieldError(f"input.{i}", f"{row.source_tokens} tokens; {model.name} takes {limit}")
        for i, row in enumerate(tokens)
        if row.truncated
    ]
    if fields:
        raise InvalidFields(fields)

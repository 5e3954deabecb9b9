"""The straight line of a request, top to bottom. Knows neither HTTP nor gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from core.sentences import Span, split_sentences
from core.tokenizer import Tokens, Truncate
from service.admission import BYTES_PER_TOKEN, Admission, estimate_tokens, utf8_bytes
from service.call import Call
from service.cost import CostLine, seed_line
from service.errors import FieldError, InvalidFields, TooLarge
from service.metrics import Metrics
from service.models import ModelCatalog, ServedModel
from service.outlast import Sender
from service.postprocess import classifications, summary_of
from service.pulse import Pulse
from service.scheduler import Scheduler
from service.schemas import (
    ClassifyRequest,
    ClassifyResponse,
    SummarizeRequest,
    SummarizeResponse,
)
from service.settings import Settings
from service.slices import plan_slices

Floats = npt.NDArray[np.float32]
ResultT = TypeVar("ResultT")

# Below this many characters a thread costs more than the work that it would take off the loop.
# Above it, reading the text takes longer than running the engine on what is kept of it.
INLINE_CHARACTERS = 8_000
LONG_TOKENS = INLINE_CHARACTERS // BYTES_PER_TOKEN


class Pipeline:
    """Checks, admits, tokenizes, infers and shapes; one method a task."""

    def __init__(
        self,
        models: ModelCatalog,
        pulse: Pulse,
        metrics: Metrics,
        settings: Settings,
        instances: Mapping[str, int],
    ) -> None:
        self.models = models
        self._metrics = metrics
        self._settings = settings
        lines = {model.name: CostLine(seed_line(model.card)) for model in models.all()}
        self._lines = lines
        self._shares = {
            model.name: 1 / (settings.engine_lanes or instances.get(model.name) or model.instances)
            for model in models.all()
        }
        self.scheduler = Scheduler(
            pulse,
            lines,
            metrics,
            shares=self._shares,
            call_tokens=settings.call_tokens,
        )
        self._sender = Sender(self.scheduler, pulse, models)
        self._admission = Admission(
            self.scheduler,
            lines,
            metrics,
            margin_ms=settings.margin_ms,
            limit_tokens=settings.inflight_tokens,
        )

    async def classify(self, request: ClassifyRequest, call: Call) -> ClassifyResponse:
        """Label every text of the request.

        Raises:
            RequestError: see the tree in `errors.py`.
        """
        model = self.models.get(request.model, "classify")
        with self._admit(model, request.input, call) as estimate:
            with call.stage("tokenize"):
                side: Truncate = "left" if request.truncate == "left" else "right"
                encode = partial(model.tokenizer.encode, request.input, side)
                tokens = await _off_loop(sum(map(len, request.input)), encode)
                if request.truncate == "error":
                    _refuse_truncated(model, tokens)
            logits = await self._infer(model, tokens, estimate, call)
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
        with self._admit(model, request.input, call) as estimate:
            with call.stage("tokenize"):
                documents = [
                    await _off_loop(len(text), partial(_sentences, model, text))
                    for text in request.input
                ]
                tokens = [row for _, rows in documents for row in rows]
            outputs = await self._infer(model, tokens, estimate, call)
            with call.stage("postprocess"):
                results = []
                begin = 0
                for document, (spans, rows) in zip(request.input, documents, strict=True):
                    own = outputs[begin : begin + len(rows)]
                    begin += len(rows)
                    shape = partial(summary_of, model.card, document, spans, rows, own, request)
                    results.append(await _off_loop(len(document), shape))
        return SummarizeResponse(model=model.name, version=model.card.version, results=results)

    def switch(self, model: ServedModel, cost_factor: float) -> ServedModel:
        """Answer new requests with another version of a model; returns the one until now.

        Its calls are expected to take `cost_factor` times as long. Requests under way end as they
        began.
        """
        self._lines[model.name].scale(cost_factor)
        return self.models.replace(model)

    def stand_in(self, model: ServedModel) -> None:
        """Its engine for processors answers from now on: its GPU cannot be used any more."""
        before = model.engine_info
        model.stand_in()
        self._lines[model.name].begin(seed_line(model.card))
        self._shares[model.name] = 1 / (self._settings.engine_lanes or model.instances)
        self._metrics.serve_engine(model.engine_info, before)
        self._metrics.engine_stands_in.labels(model.name).set(1)

    def served(self) -> list[ServedModel]:
        """Every model, as it is served now."""
        return self.models.all()

    def predicted_seconds(self, model: str, tokens: int) -> float:
        """How long a call of so many tokens is expected to take."""
        return self._lines[model].predict_ms(tokens) / 1000

    def note_calm(self) -> None:
        """Triton answers as it should: remember the margin."""
        self._admission.margin.note()

    def forget_outage(self) -> None:
        """An outage is over: go back to the margin of when Triton last answered as it should."""
        self._admission.margin.back()

    @contextmanager
    def _admit(self, model: ServedModel, texts: Sequence[str], call: Call) -> Iterator[int]:
        """Check the texts, and hold model and estimated tokens for the length of the block."""
        call.model = model.name
        self._sender.note_arrival(model, call)
        with call.stage("admit"):
            estimate = self._estimate(model, self._checked_sizes(texts))
            self._set_class(call, estimate)
            admitted = self._admission.admit(call, estimate)
        with admitted:
            model.in_flight += 1
            try:
                yield estimate
            finally:
                model.in_flight -= 1

    def refuse_early(self, call: Call, body_bytes: int | None) -> None:
        """Refuse a small request before its body is read, if none of any length has a chance.

        `body_bytes` is what the request announces, or None: then it is read first.

        Raises:
            Refused: there is no time even for the shortest text.
        """
        promise_ms = self._settings.interactive_timeout_ms
        timeout_ms = call.caller_timeout_ms or promise_ms
        largest_bytes = BYTES_PER_TOKEN * self._settings.interactive_tokens
        if body_bytes is not None and body_bytes <= largest_bytes and timeout_ms <= promise_ms:
            self._admission.require_any_time(call, timeout_ms)

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
        if model.card.task == "classify" and sum(sizes) <= INLINE_CHARACTERS:
            return sum(min(estimate_tokens(size), model.card.max_tokens) for size in sizes)
        return sum(estimate_tokens(size) for size in sizes)

    def _set_class(self, call: Call, tokens: int) -> None:
        """Interactive or bulk, and the deadline that goes with it.

        A caller who allows more time than the promise has no need of it, and travels as bulk.
        """
        promise_ms = self._settings.interactive_timeout_ms
        patient = (call.caller_timeout_ms or 0) > promise_ms
        if tokens <= self._settings.interactive_tokens and not patient:
            call.set_class("interactive", promise_ms, self._settings.late_answer_ms)
        else:
            call.set_class("bulk", self._settings.bulk_timeout_ms)

    async def _infer(
        self, model: ServedModel, tokens: Sequence[Tokens], estimate: int, call: Call
    ) -> Floats:
        """Engine output of every row, float32 of shape (rows, width), in the rows' order."""
        with call.stage("infer"):
            lengths = [len(row.ids) for row in tokens]
            total = sum(lengths)
            if estimate <= LONG_TOKENS:
                self._set_class(call, total)
                self._admission.require_time(call, total)
            call.tokens = total
            self._metrics.tokens.labels(model.name).inc(total)
            slices = plan_slices(lengths, self._slice_tokens(model, lengths, call))
            ids = [[tokens[row].ids for row in rows] for rows in slices]
            parts = await self._sender.send(model, ids, call)
            outputs = np.empty((len(tokens), parts[0].shape[1]), dtype=np.float32)
            for rows, part in zip(slices, parts, strict=True):
                outputs[rows] = part
            return outputs

    def _slice_tokens(self, model: ServedModel, lengths: Sequence[int], call: Call) -> int:
        """Tokens of one job: as many as make the answer come soonest and hold nobody else up."""
        if call.request_class == "bulk":
            return self._settings.bulk_slice_tokens
        # A row more, so that what an uneven division leaves over needs no call of its own.
        return self.scheduler.part_tokens(model.name, sum(lengths)) + max(lengths)


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

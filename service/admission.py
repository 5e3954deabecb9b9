"""Decide from the text's length alone whether a request may begin.

A request is admitted when its predicted finish, behind all work admitted and unfinished, lies
before its deadline less a margin. Refusing costs next to nothing; answering late costs as much as
answering in time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from service.call import Call
from service.cost import CostLine
from service.errors import DeadlineExceeded, Refused
from service.jobs import LATE
from service.margin import Margin
from service.metrics import Metrics
from service.scheduler import Scheduler

# English runs at 4 to 5 UTF-8 bytes a token; dividing by 4 errs on the costly side.
BYTES_PER_TOKEN = 4
SPECIAL_TOKENS = 2
# A service with nothing to do tries what its line would refuse, now and then: nothing else could
# show that the line is out of date.
TRIAL_SECONDS = 1.0


def utf8_bytes(text: str) -> int:
    """Size of `text` in UTF-8; a lone surrogate counts 3."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_tokens(size_bytes: int) -> int:
    """Tokens that a text of so many UTF-8 bytes will take, special tokens included."""
    return size_bytes // BYTES_PER_TOKEN + SPECIAL_TOKENS


class Admission:
    """Predicts when a request would be answered, and refuses it where that is too late.

    `margin` is what it has learned to keep free of deadlines.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        lines: Mapping[str, CostLine],
        metrics: Metrics,
        *,
        margin_ms: float,
        limit_tokens: int,
    ) -> None:
        self._scheduler = scheduler
        self._lines = lines
        self._metrics = metrics
        self.margin = Margin(margin_ms)
        self._limit_tokens = limit_tokens
        self._inflight_tokens = 0
        self._last_trial = -math.inf
        metrics.backlog.set_function(lambda: scheduler.backlog.interactive_ms() / 1000)
        for model, cost in lines.items():
            metrics.cost_overhead.labels(model).set_function(partial(_overhead_seconds, cost))
            metrics.cost_per_token.labels(model).set_function(partial(_seconds_per_token, cost))

    @contextmanager
    def admit(self, call: Call, tokens: int) -> Iterator[int]:
        """Hold the estimated `tokens` of a request, which it yields, for the length of the block.

        Raises:
            Refused: it would be answered too late, or it does not fit beside the work under way.
        """
        self._require_room(tokens)
        self.require_time(call, tokens)
        self._add(tokens, 1)
        try:
            yield tokens
        except DeadlineExceeded:
            self._learn(call)
            raise
        except Refused as error:
            if error.reason == LATE:  # as good as a missed deadline
                self._learn(call, missed=True)
            raise
        else:
            self._learn(call)
        finally:
            self._add(-tokens, -1)

    def require_time(self, call: Call, tokens: int) -> None:
        """Note the predicted time of a request, counted from its start.

        Raises:
            Refused: it lies past the deadline less the margin.
        """
        spent_ms = 1000 * call.elapsed_seconds()
        wait_ms = self._wait_ms(call)
        call.predicted_ms = spent_ms + wait_ms + self._own_ms(call, tokens)
        allowed_ms = call.timeout_ms - self.margin.ms(call.timeout_ms, wait_ms)
        if call.predicted_ms > allowed_ms and not self._may_try(call):
            raise self._refusal(call.predicted_ms, allowed_ms)

    def require_any_time(self, call: Call, timeout_ms: float) -> None:
        """Refuse what even the smallest request could not be promised now.

        Asked before the body is read, so that refusing stays cheap when most is refused.

        Raises:
            Refused: there is no time for a request of any length.
        """
        backlog_ms = self._scheduler.wait_ms()
        smallest_ms = min(line.predict_ms(SPECIAL_TOKENS + 1) for line in self._lines.values())
        predicted_ms = 1000 * call.elapsed_seconds() + backlog_ms + smallest_ms
        allowed_ms = timeout_ms - self.margin.ms(timeout_ms, backlog_ms)
        if backlog_ms and predicted_ms > allowed_ms:
            raise self._refusal(predicted_ms, allowed_ms)

    def _own_ms(self, call: Call, tokens: int) -> float:
        """Predicted time of the request's own engine calls, which run side by side."""
        if call.request_class == "interactive":
            tokens = self._scheduler.part_tokens(call.model, tokens)
        return self._lines[call.model].predict_ms(tokens)

    def _wait_ms(self, call: Call) -> float:
        """Predicted time from now until the request's own engine call begins."""
        wait_ms = self._scheduler.wait_ms(call.model)
        if call.request_class == "bulk":
            return wait_ms + self._scheduler.backlog.bulk_ms()
        return wait_ms + 1000 * self._scheduler.bulk_turn_seconds(wait_ms / 1000)

    def _refusal(self, predicted_ms: float, allowed_ms: float) -> Refused:
        return Refused(
            f"it would be answered after {predicted_ms:.0f} ms, {allowed_ms:.0f} ms are allowed; "
            "try again later, or allow more with X-Request-Timeout-Ms",
            reason="predicted",
            retry_after_seconds=max(1, math.ceil((predicted_ms - allowed_ms) / 1000)),
            predicted_ms=predicted_ms,
            allowed_ms=allowed_ms,
        )

    def _may_try(self, call: Call) -> bool:
        """Whether a request may run against the prediction; once it may, it may to its end."""
        now = time.monotonic()
        if not call.is_trial and self._scheduler.backlog.empty:
            call.is_trial = now - self._last_trial >= TRIAL_SECONDS
            self._last_trial = now if call.is_trial else self._last_trial
        return call.is_trial

    def _require_room(self, tokens: int) -> None:
        """A request larger than the whole limit is admitted when nothing else is under way, so
        that none is refused forever."""
        if self._inflight_tokens and self._inflight_tokens + tokens > self._limit_tokens:
            raise Refused(
                f"{self._inflight_tokens} tokens are under way and {tokens} more would go over "
                f"the limit of {self._limit_tokens}",
                reason="inflight_tokens",
            )

    def _learn(self, call: Call, missed: bool = False) -> None:
        """Compare the prediction with what came of it."""
        if call.request_class == "bulk":
            return
        took_ms = 1000 * call.elapsed_seconds()
        error_ms = took_ms - call.predicted_ms
        self.margin.observe(call.timeout_ms if missed else took_ms, call.timeout_ms)
        self._metrics.margin.set(self.margin.ms(call.timeout_ms, math.inf) / 1000)
        direction = "later" if error_ms > 0 else "earlier"
        self._metrics.prediction_error.labels(call.model, direction).observe(abs(error_ms) / 1000)

    def _add(self, tokens: int, requests: int) -> None:
        self._inflight_tokens += tokens
        self._metrics.inflight_tokens.set(self._inflight_tokens)
        self._metrics.inflight.inc(requests)


def _overhead_seconds(cost: CostLine) -> float:
    return cost.line.overhead_ms / 1000


def _seconds_per_token(cost: CostLine) -> float:
    return cost.line.ms_per_token / 1000

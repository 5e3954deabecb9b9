"""The board as those who look at it now get it: one sampling and one rendering for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from service.board import history, view
from service.board.schema import Board
from service.metrics import REQUEST_EDGES_SECONDS, Metrics
from service.models import ServedModel
from service.readiness import Readiness, ReadinessProbe
from service.settings import Settings

WINDOWS_SECONDS = (60.0, 300.0, history.KEPT_SECONDS)
# What Triton said is no longer believed so many samples later.
BELIEVED_SAMPLES = 3


class LiveBoard:
    """Samples `metrics` while it runs, and shows `models`, as they are served now, beside them."""

    def __init__(
        self,
        settings: Settings,
        models: Callable[[], list[ServedModel]],
        probe: ReadinessProbe,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._models = models
        self._probe = probe
        self._history = history.History(metrics, history.SAMPLE_SECONDS)
        self._started_at, self._begun = datetime.now(UTC), time.monotonic()
        self._rendered: tuple[Any, bytes] | None = None

    def running(self) -> AbstractAsyncContextManager[None]:
        """Take samples for as long as the block runs."""
        return self._history.running()

    def json(self) -> bytes:
        """The body of GET /v1/board.

        Has Triton asked whether it answers, and does not wait for it: that is shown the next time.
        """
        sample_seconds = self._history.sample_seconds
        if self._probe.last(sample_seconds) is None:
            self._probe.refresh()
        readiness = self._probe.last(BELIEVED_SAMPLES * sample_seconds)
        models = self._models()
        state = (self._history.taken, readiness, [model.engine_info for model in models])
        if self._rendered is None or self._rendered[0] != state:
            self._rendered = (state, self._render(models, readiness).model_dump_json().encode())
        return self._rendered[1]

    def _clock(self, at: float) -> str:
        """A moment of the monotonic clock, as it was on the wall if nobody has set that since."""
        moment = self._started_at + timedelta(seconds=at - self._begun)
        return moment.isoformat(timespec="milliseconds")

    def _render(self, models: list[ServedModel], readiness: Readiness | None) -> Board:
        settings, latest = self._settings, self._history.latest
        promise_ms = settings.interactive_timeout_ms
        names = [model.name for model in models]
        return Board(
            sample=self._history.taken,
            sample_seconds=self._history.sample_seconds,
            started_at=self._clock(self._begun),
            promise_ms=promise_ms,
            top_edge_ms=1000 * REQUEST_EDGES_SECONDS[-1],
            interactive_tokens=settings.interactive_tokens,
            keys_needed=settings.asks_for_keys,
            triton_answers=None if readiness is None else readiness.live,
            restarts=view.restarts_of(self._history, self._clock),
            now=view.now_of(latest),
            windows=[
                view.window_of(self._history, seconds, promise_ms, names)
                for seconds in WINDOWS_SECONDS
            ],
            charts=view.charts_of(self._history.points, latest.at),
            models=[view.engine_of(model, readiness) for model in models],
        )

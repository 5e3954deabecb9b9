"""What one request carries along: its id, its deadline, and the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from service.errors import DeadlineExceeded
from service.trace import Trace

# Limited: over the rate of its key, and so never begun.
RequestClass = Literal["interactive", "bulk", "limited"]


@dataclass(slots=True)
class Call:
    """One request under way. Times come from the monotonic clock.

    `model_answered`: whether its model did, as far as was known when it came.
    """

    request_id: str
    caller_timeout_ms: float | None = None
    started: float = field(default_factory=time.monotonic)
    model: str = "none"
    model_answered: bool = False
    tokens: int = 0
    request_class: RequestClass = "interactive"
    timeout_ms: float = 0.0
    late_answer_ms: float = 0.0
    predicted_ms: float = 0.0
    is_trial: bool = False
    trace: Trace | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def set_class(
        self, request_class: RequestClass, default_timeout_ms: float, late_answer_ms: float = 0.0
    ) -> None:
        """Set the class and its timeout; the caller's own timeout counts where it is shorter.

        `late_answer_ms`: so long past it an answer is still good, unless the caller set one.
        """
        self.request_class = request_class
        asked = self.caller_timeout_ms
        self.timeout_ms = default_timeout_ms if asked is None else min(asked, default_timeout_ms)
        self.late_answer_ms = late_answer_ms if asked is None else 0.0

    def has_come(self, waited_seconds: float) -> None:
        """Its time starts once it has wholly come; what the client took to send it is not ours.

        `waited_seconds` is what it has waited for us since.
        """
        self.started = max(self.started, time.monotonic() - waited_seconds)

    @property
    def deadline(self) -> float:
        """When the answer is due, on the monotonic clock."""
        return self.started + self.timeout_ms / 1000

    def elapsed_seconds(self) -> float:
        """Time since the request began."""
        return time.monotonic() - self.started

    @property
    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.timeout_ms > 0 and 1000 * self.elapsed_seconds() >= self.timeout_ms

    def require_time(self) -> None:
        """Give up what has no time left, a late answer's included.

        Raises:
            DeadlineExceeded: there is none.
        """
        allowed_ms = self.timeout_ms + self.late_answer_ms
        if 1000 * self.elapsed_seconds() >= allowed_ms:
            raise DeadlineExceeded(f"not answered within {allowed_ms:g} ms")

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage that is entered twice adds up."""
        begun = time.perf_counter()
        if self.trace is not None:
            self.trace.begin_stage(name)
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.stage_seconds[name] = self.stage_seconds.get(name, 0.0) + spent
            if self.trace is not None:
                self.trace.end_stage()

    def server_timing(self) -> str:
        """The `Server-Timing` header: each stage and the total, in milliseconds."""
        stages = {**self.stage_seconds, "total": self.elapsed_seconds()}
        return ", ".join(f"{name};dur={value * 1000:.3f}" for name, value in stages.items())

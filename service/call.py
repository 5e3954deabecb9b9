"""What one request carries along: its id, its deadline, and the time of each stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from service.errors import DeadlineExceeded

RequestClass = Literal["interactive", "bulk"]


@dataclass(slots=True)
class Call:
    """One request under way. Times come from the monotonic clock."""

    request_id: str
    caller_timeout_ms: float | None = None
    started: float = field(default_factory=time.monotonic)
    model: str = "none"
    request_class: RequestClass = "interactive"
    timeout_ms: float = 0.0
    predicted_ms: float = 0.0
    is_trial: bool = False
    stage_seconds: dict[str, float] = field(default_factory=dict)

    def set_class(self, request_class: RequestClass, default_timeout_ms: float) -> None:
        """Set the class and its timeout; the caller's own timeout counts where it is shorter."""
        self.request_class = request_class
        asked = self.caller_timeout_ms
        self.timeout_ms = default_timeout_ms if asked is None else min(asked, default_timeout_ms)

    @property
    def deadline(self) -> float:
        """When the answer is due, on the monotonic clock."""
        return self.started + self.timeout_ms / 1000

    def elapsed_seconds(self) -> float:
        """Time since the request began."""
        return time.monotonic() - self.started

    def remaining_ms(self) -> float:
        """Time left.

        Raises:
            DeadlineExceeded: there is none.
        """
        remaining = self.timeout_ms - self.elapsed_seconds() * 1000
        if remaining <= 0:
            raise DeadlineExceeded(f"not answered within {self.timeout_ms:g} ms")
        return remaining

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; a stage that is entered twice adds up."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begun
            self.stage_seconds[name] = self.stage_seconds.get(name, 0.0) + spent

    def server_timing(self) -> str:
        """The `Server-Timing` header: each stage and the total, in milliseconds."""
        stages = {**self.stage_seconds, "total": self.elapsed_seconds()}
        return ", ".join(f"{name};dur={value * 1000:.3f}" for name, value in stages.items())

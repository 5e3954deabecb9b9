"""How long the work admitted and unfinished will take, by the fitted lines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from service.cost import CostLine
from service.jobs import EngineCall, Job


class Backlog:
    """Counts waiting tokens by model and class, and turns them into time."""

    def __init__(
        self,
        lines: Mapping[str, CostLine],
        shares: Mapping[str, float],
        calls: Sequence[EngineCall],
        *,
        call_tokens: int,
    ) -> None:
        self._lines = lines
        self._calls = calls
        self._shares = shares
        self._call_tokens = call_tokens
        self._interactive_tokens = dict.fromkeys(lines, 0)
        self._bulk_tokens = dict.fromkeys(lines, 0)

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        waiting = any(self._interactive_tokens.values()) or any(self._bulk_tokens.values())
        return not self._calls and not waiting

    def add(self, job: Job) -> None:
        """Count a job that begins to wait."""
        self._tokens_of(job)[job.model] += job.tokens

    def remove(self, job: Job) -> None:
        """Forget a job that waits no longer."""
        self._tokens_of(job)[job.model] -= job.tokens

    def waiting_tokens(self, model: str) -> int:
        """Tokens of the model's waiting interactive jobs."""
        return self._interactive_tokens[model]

    def interactive_ms(self) -> float:
        """Time until the calls under way and all waiting interactive work are through."""
        under_way_ms = sum(
            1000 * call.remaining_seconds() * self._shares[call.model] for call in self._calls
        )
        return under_way_ms + self._waiting_ms(self._interactive_tokens)

    def bulk_ms(self) -> float:
        """Time that the waiting bulk work takes on top of that."""
        return self._waiting_ms(self._bulk_tokens)

    def _tokens_of(self, job: Job) -> dict[str, int]:
        return self._bulk_tokens if job.bulk else self._interactive_tokens

    def _waiting_ms(self, tokens_by_model: Mapping[str, int]) -> float:
        total_ms = 0.0
        for model, tokens in tokens_by_model.items():
            if tokens:
                line = self._lines[model].line
                calls = math.ceil(tokens / self._call_tokens)
                needed_ms = calls * line.overhead_ms + line.ms_per_token * tokens
                total_ms += needed_ms * self._shares[model]
        return total_ms

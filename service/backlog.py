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

    @property
    def quiet(self) -> bool:
        """Whether no interactive request waits or is under way."""
        waiting = any(self._interactive_tokens.values())
        return not waiting and all(call.bulk for call in self._calls)

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

    def wait_ms(self, share: float) -> float:
        """Time until `share` of the machine is free for work that begins to wait now.

        The machine is as many lanes as calls of that share run side by side. Work that waits
        already, and a call sent ahead, fill the lanes that are free first.
        """
        lanes = round(1 / share)
        ends_ms: list[float] = []
        waiting_ms = self._waiting_ms(self._interactive_tokens)
        for call in self._calls:
            if call.started and len(ends_ms) < lanes:
                width = max(1, round(self._shares[call.model] / share))
                ends_ms += [1000 * call.remaining_seconds()] * min(width, lanes - len(ends_ms))
            else:
                waiting_ms += 1000 * call.remaining_seconds() * self._shares[call.model]
        ends_ms += [0.0] * (lanes - len(ends_ms))
        return _level(sorted(ends_ms), waiting_ms / share)

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


def _level(ends: list[float], work: float) -> float:
    """How high `work` stands when poured over steps of these ascending heights."""
    for count, height in enumerate(ends[1:], start=1):
        below = sum(height - end for end in ends[:count])
        if work <= below:
            return height - (below - work) / count
    return (sum(ends) + work) / len(ends)

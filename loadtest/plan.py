"""What to send, how fast, for how long, and what is promised: all that makes a run repeatable."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from loadtest.errors import WrongPlan
from loadtest.kinds import KINDS, SCENARIOS, mix_of

# Request sizes and answers are small; a million of them still fit in memory many times over.
MAX_REQUESTS = 20_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One load test.

    Requests are scheduled for `warm_up_seconds` and then for `duration_seconds`; only the latter
    are judged. `budget_ms` is the time in which an interactive request has to be answered,
    `timeout_ms` the time after its scheduled send at which the client gives it up (bulk kinds have
    their own). `connections` bounds what is in flight. Equal plans send equal texts at equal times.

    Raises:
        WrongPlan: a field has a value that cannot be carried out.
    """

    host: str = "http://127.0.0.1:8080"
    rate_per_second: float = 40.0
    duration_seconds: float = 60.0
    warm_up_seconds: float = 5.0
    scenario: str = "classify"
    texts: str | None = None
    budget_ms: float = 50.0
    timeout_ms: float = 10_000.0
    seed: int = 1
    connections: int = 1000

    def __post_init__(self) -> None:
        address = urlsplit(self.host)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise WrongPlan("host", f"is {self.host!r}; it looks like http://127.0.0.1:8080")
        for name in ("rate_per_second", "duration_seconds", "budget_ms", "timeout_ms"):
            _require_number(name, getattr(self, name), above=0)
        _require_number("warm_up_seconds", self.warm_up_seconds, least=0)
        _require_number("connections", self.connections, least=1)
        _require_number("seed", self.seed, least=0)
        _require_one_of("scenario", self.scenario, tuple(SCENARIOS))
        if self.texts is not None:
            _require_one_of("texts", self.texts, tuple(KINDS))
        if self.rate_per_second * self.total_seconds > MAX_REQUESTS:
            raise WrongPlan("rate_per_second", f"and duration make over {MAX_REQUESTS:,} requests")

    @property
    def total_seconds(self) -> float:
        """Time over which requests are scheduled, warm-up included."""
        return self.warm_up_seconds + self.duration_seconds

    def asked(self) -> dict[str, Any]:
        """What is sent, to which models, and what is promised, to stand beside a result."""
        kinds = mix_of(self.scenario, self.texts)
        return {
            "host": self.host,
            "texts": self.texts or self.scenario,
            "models": sorted({model for kind in kinds for model in KINDS[kind].models}),
            "budget_ms": self.budget_ms,
        }

    def to_json(self) -> str:
        """The plan as a JSON object; `from_json` reads it back equal."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote.

        Raises:
            WrongPlan: it is no plan, or one that cannot be carried out.
        """
        try:
            values: Any = json.loads(text)
        except ValueError as error:
            raise WrongPlan("plan", f"is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise WrongPlan("plan", "is no JSON object")
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise WrongPlan(min(unknown), "is no field of a plan")
        return cls(**values)


def _require_number(
    name: str, value: object, above: float | None = None, least: float | None = None
) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WrongPlan(name, f"is {value!r}, not a number")
    if above is not None and value <= above:
        raise WrongPlan(name, f"is {value}; it has to be over {above:g}")
    if least is not None and value < least:
        raise WrongPlan(name, f"is {value}; it has to be at least {least:g}")


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise WrongPlan(name, f"is {value!r}; it has to be one of {', '.join(choices)}")

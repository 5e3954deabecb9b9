"""The kinds of request that are sent, and the scenarios that mix them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request: a text of some length, sent to one of `models` over `route`.

    `bulk` ones are over the size that the latency budget covers: being late is no miss for them,
    being refused or failing is. `timeout_ms` is the client's patience; None takes the plan's.
    """

    name: str
    route: str
    models: tuple[str, ...]
    bulk: bool = False
    timeout_ms: float | None = None


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("sentence", "/v1/classify", ("sentiment",)),
        Kind("review", "/v1/classify", ("sentiment",)),
        Kind("clause", "/v1/summarize", ("general", "contracts")),
        Kind("contract", "/v1/summarize", ("contracts",), bulk=True, timeout_ms=120_000),
    )
}
BULK_KINDS = frozenset(kind.name for kind in KINDS.values() if kind.bulk)

# Shares of the requests. A contract is worth about 300 sentences, so a few are many.
SCENARIOS: Mapping[str, Mapping[str, float]] = {
    "classify": {"sentence": 0.7, "review": 0.3},
    "summarize": {"clause": 1.0},
    "mixed": {"sentence": 0.56, "review": 0.24, "clause": 0.195, "contract": 0.005},
}


def mix_of(scenario: str, texts: str | None) -> Mapping[str, float]:
    """Share of each kind, adding up to 1: the scenario's, or `texts` alone where that is given."""
    return SCENARIOS[scenario] if texts is None else {texts: 1.0}

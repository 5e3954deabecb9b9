"""What requests cost, and how many machines they need: the one place of this arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engines.evaluation_record import Cost

# The share of an engine's own texts/s that requests reached over HTTP, with Triton and the service
# on the same cores: 0.34 to 0.40 in BENCHMARKS.md.
LOAD_SHARE = 0.4
# Of the best rate: with a third of the machines gone, the rest are at nine tenths of theirs.
UTILISATION = 0.6
LEAST_REPLICAS = 2


@dataclass(frozen=True)
class Price:
    """What a machine like this one costs an hour, and how much of its engine is used."""

    per_hour: float
    currency: str = "USD"
    load_share: float = LOAD_SHARE

    def cost(self, texts_per_second: float) -> Cost:
        """What a million requests of one text cost."""
        rate = texts_per_second * self.load_share
        return Cost(
            price_per_hour=self.per_hour,
            currency=self.currency,
            load_share=self.load_share,
            requests_per_second=rate,
            per_million_requests=per_million(self.per_hour, rate),
        )


def per_million(per_hour: float, requests_per_second: float) -> float:
    """What a million requests cost where so many a second come for that price an hour."""
    return per_hour / (requests_per_second * 3600) * 1e6


def replicas_for(rate: float, best_rate: float) -> int:
    """Replicas that are used as planned, and keep to their best rate with one of them gone."""
    return max(
        math.ceil(rate / (UTILISATION * best_rate)), math.ceil(rate / best_rate) + 1, LEAST_REPLICAS
    )

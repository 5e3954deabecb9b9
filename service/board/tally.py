"""What requests of one class, and of one model, came to between two samples."""

from __future__ import annotations

from dataclasses import dataclass

from service.board.buckets import Buckets
from service.board.sample import RequestKey
from service.metrics import REQUEST_EDGES_SECONDS

ANSWERED = 200
REFUSED = 429
FIRST_FAILED = 500


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests by what became of them, as docs/operating.md counts them.

    `answered` has the times of those with 200, in seconds. `other` are faults of the client and
    clients that hung up.
    """

    answered: Buckets
    refused: int
    failed: int
    other: int

    @classmethod
    def of(
        cls,
        requests: dict[RequestKey, Buckets],
        *,
        request_class: str | None = None,
        model: str | None = None,
    ) -> Tally:
        """Those of a class and of a model, where they are given."""
        answered = Buckets.empty(REQUEST_EDGES_SECONDS)
        refused = failed = other = 0
        for (own_model, own_class, status), buckets in requests.items():
            if (model or own_model) != own_model or (request_class or own_class) != own_class:
                continue
            if status == ANSWERED:
                answered += buckets
            elif status == REFUSED:
                refused += buckets.count
            elif status >= FIRST_FAILED:
                failed += buckets.count
            else:
                other += buckets.count
        return cls(answered, refused, failed, other)

    @property
    def accepted(self) -> int:
        """Requests that the promise is about."""
        return self.answered.count + self.failed

    @property
    def requests(self) -> int:
        """All of them, refused ones and faulty ones too."""
        return self.accepted + self.refused + self.other

    def missed(self, promise_seconds: float) -> float | None:
        """Accepted requests that were late or failed; None where the buckets cannot tell."""
        late = self.answered.over(promise_seconds)
        return None if late is None else late + self.failed


def since(
    earlier: dict[RequestKey, Buckets], later: dict[RequestKey, Buckets]
) -> dict[RequestKey, Buckets]:
    """What was counted between two samples; a series that is new began at nothing."""
    return {
        key: buckets - earlier[key] if key in earlier else buckets for key, buckets in later.items()
    }

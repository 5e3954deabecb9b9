"""What became of every scheduled request, to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Microseconds = npt.NDArray[np.int64]

OK = 0
REFUSED = 1
ERROR = 2
TIMEOUT = 3
OUTCOMES = ("ok", "refused", "error", "timeout")

_ARRAYS = {
    "scheduled_us": np.int64,
    "sent_us": np.int64,
    "finished_us": np.int64,
    "outcome": np.uint8,
    "status": np.uint16,
    "kind": np.uint8,
}


def outcome_of(status: int) -> int:
    """The outcome of a request that was answered with this HTTP status."""
    if 200 <= status < 300:
        return OK
    return {429: REFUSED, 504: TIMEOUT}.get(status, ERROR)


@dataclass(frozen=True, slots=True)
class Records:
    """One row for each scheduled request, in the order of the schedule; arrays of equal length.

    Attributes:
        scheduled_us: int64, when it was to be sent, in µs from the start of the schedule.
        sent_us: int64, when the generator took it up; same origin.
        finished_us: int64, when the answer was complete or given up; same origin.
        outcome: uint8: OK, REFUSED (429), ERROR (other statuses, broken connections),
            TIMEOUT (504, or the client's patience ended).
        status: uint16, the HTTP status; 0 where none came.
        kind: uint8, index into `kinds`.
    """

    scheduled_us: Microseconds
    sent_us: Microseconds
    finished_us: Microseconds
    outcome: npt.NDArray[np.uint8]
    status: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]
    kinds: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, name)) for name in _ARRAYS}
        if len(lengths) > 1:
            raise ValueError(f"arrays of different lengths: {sorted(lengths)}")
        for name, dtype in _ARRAYS.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype))

    def __len__(self) -> int:
        return len(self.scheduled_us)

    @property
    def latency_us(self) -> Microseconds:
        """From the scheduled send, so that waiting caused by a stall counts. int64, µs."""
        return self.finished_us - self.scheduled_us

    @property
    def lag_us(self) -> Microseconds:
        """How late the generator itself was. int64, µs."""
        return self.sent_us - self.scheduled_us

    @property
    def service_us(self) -> Microseconds:
        """From the actual send, as closed-loop tools count. int64, µs."""
        return self.finished_us - self.sent_us

    def where(self, rows: npt.NDArray[np.bool_]) -> Records:
        """The rows that the mask, one value a row, selects."""
        return replace(self, **{name: getattr(self, name)[rows] for name in _ARRAYS})

    def measured(self, warm_up_seconds: float) -> Records:
        """Without the requests that were scheduled in the warm-up."""
        return self.where(self.scheduled_us >= round(warm_up_seconds * 1e6))

    def of_kind(self, name: str) -> Records:
        """The requests of one kind; none where that kind was not sent."""
        return self.where(self.is_kind({name}))

    def is_kind(self, names: set[str] | frozenset[str]) -> npt.NDArray[np.bool_]:
        """One value a row: whether its kind is among `names`."""
        wanted = [index for index, name in enumerate(self.kinds) if name in names]
        return np.isin(self.kind, wanted)

    def save(self, path: Path) -> None:
        """Write everything to a NumPy `.npz` file, which `load` reads back equal."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        with path.open("wb") as file:
            np.savez(file, kinds=np.array(self.kinds, dtype=np.str_), **arrays)

    @classmethod
    def load(cls, path: Path) -> Records:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            kinds = tuple(str(name) for name in stored["kinds"])
            return cls(**{name: stored[name] for name in _ARRAYS}, kinds=kinds)

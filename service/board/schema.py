"""The body of GET /v1/board. Times in ms; null is what is not known, or of no requests."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BoardModel(BaseModel):
    """Built by us from checked values."""

    model_config = ConfigDict(frozen=True)


class Traffic(BoardModel):
    """Requests of one kind within a window. Percentiles are those of answers with 200."""

    requests: int
    answered: int
    refused: int = Field(description="429")
    failed: int = Field(description="5xx")
    other: int = Field(description="Any other 4xx: faults of the client, and clients that hung up.")
    p50_ms: float | None
    p99_ms: float | None
    missed: float | None = Field(
        description="Accepted requests that were late or failed. Exact where the promise is an "
        "edge of the histogram, as 50 ms is; else interpolated. Null for bulk: it has no promise."
    )


class Stage(BoardModel):
    """Time of one stage, of interactive and bulk requests together."""

    stage: str
    count: int
    mean_ms: float
    p50_ms: float
    p99_ms: float


class Calls(BoardModel):
    """Requests to Triton. `rows` has how many carried more rows than the edge before it."""

    count: int
    mean_rows: float | None
    padding_ratio: float | None = Field(description="Tokens with padding, over those without.")
    edges: list[int]
    rows: list[int] = Field(description="By edge; one more for those above all edges.")


class Window(BoardModel):
    """What happened in the last `seconds`, or since the start if that is shorter (`covered`)."""

    seconds: float
    covered_seconds: float
    interactive: Traffic
    bulk: Traffic
    models: dict[str, Traffic] = Field(description="Interactive and bulk together, by model.")
    refused: dict[str, int] = Field(description="By reason.")
    stages: list[Stage]
    calls: Calls


class Now(BoardModel):
    """How things stood at the newest sample."""

    inflight: int
    backlog_ms: float
    margin_ms: float
    loop_lag_ms: float


class Charts(BoardModel):
    """A column a figure, a row the time between two samples, oldest first."""

    ago_seconds: list[float] = Field(description="From the end of the row to the newest sample.")
    seconds: list[float] = Field(description="Length of the row.")
    interactive_per_second: list[float]
    bulk_per_second: list[float]
    refused_per_second: list[float]
    p50_ms: list[float | None] = Field(description="Of interactive answers with 200.")
    p99_ms: list[float | None]


class BoardEngine(BoardModel):
    """One model as it is served now."""

    name: str
    task: str
    version: str
    precision: str
    backend: str
    answers: bool | None = Field(description="Null before it was asked.")
    fault: str | None = Field(description="Why it does not answer.")


class Restarts(BoardModel):
    """Starts of Triton after the first, since the start of the service."""

    reasons: dict[str, int] = Field(
        description="By why, as in sub50_triton_restarts_total; those that there were."
    )
    last_reason: str | None
    last_at: str | None = Field(description="UTC, to a sample.")


class Board(BoardModel):
    """The service's own numbers over the last minutes."""

    sample: int = Field(description="Counts the samples since the start of the service.")
    sample_seconds: float
    started_at: str = Field(description="UTC; another one tells that the service was restarted.")
    promise_ms: float
    top_edge_ms: float = Field(description="Percentiles are at least this where they are this.")
    interactive_tokens: int
    keys_needed: bool
    triton_answers: bool | None = Field(description="Null before it was asked.")
    restarts: Restarts | None = Field(description="Null where Triton is not the service's own.")
    now: Now
    windows: list[Window]
    charts: Charts
    models: list[BoardEngine]

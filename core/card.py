"""The engine's card: its measured record, written by the build and read by the service.

The card is where building and serving meet: `model_repository/<model>/<version>/card.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

CARD_FILE = "card.json"
ENGINE_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
PLAN_FILE = "model.plan"


class Record(BaseModel):
    """Frozen, and strict about fields nobody declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Drift(Record):
    """How far the engine's answers are from the unquantized graph's."""

    texts: int
    mean_change: float = Field(description="mean absolute change of a score (or 1 - cosine)")
    largest_change: float
    labels_changed: int


class Invariance(Record):
    """How far a text's answer moves with its batch-mates and its padding."""

    texts: int
    largest_change: float
    labels_flipped: int
    limit: float


class Accuracy(Record):
    """Share of right labels on one labelled data set, quantized against not."""

    data: str
    rows: int
    accuracy: float
    macro_f1: float
    reference_accuracy: float
    reference_macro_f1: float


class Timing(Record):
    """Time of one engine call in process, on the machine that built the engine."""

    batch: int
    tokens: int
    threads: int
    p50_ms: float
    p99_ms: float
    texts_per_second: float
    reference_p50_ms: float


class GpuRecord(Record):
    """A GPU that figures were read on."""

    name: str
    compute_capability: str | None = Field(default=None, description="such as 9.0")
    memory_bytes: int | None = None
    driver: str | None = None


class Hardware(Record):
    """What figures were read on. What is not known is None."""

    processor: str
    cores: int | None = Field(default=None, description="that could be used")
    memory_bytes: int | None = None
    gpu: GpuRecord | None = Field(default=None, description="where the engine ran on one")

    @property
    def name(self) -> str:
        """What the figures are of: the GPU where there is one, or the processor."""
        return self.gpu.name if self.gpu else self.processor


class Verdict(Record):
    """What the gate said."""

    passed: bool
    reasons: list[str] = Field(description="why it was refused; empty when passed")


class Tuning(Record):
    """The way of running the engine that measured best on one machine.

    One engine call takes `line_overhead_ms + line_ms_per_token * tokens`.
    """

    backend: str
    precision: str
    threads: int
    instances: int
    engine_file: str = Field(default=ENGINE_FILE, description="what is served, beside the card")
    engine_sha256: str = Field(default="", description="of that file, where tuning wrote it")
    lengths: str = Field(default="", description="the mix measured with, tokens:weight")
    line_overhead_ms: float
    line_ms_per_token: float
    machine: str
    hardware: Hardware | None = Field(
        default=None, description="None on cards of before, and where it was not measured"
    )
    tuned_at: str
    candidates: list[dict[str, object]] = Field(default_factory=list)


class Capacity(Record):
    """The highest rate that a machine held over HTTP, as a load test found it.

    The P99 of the requests was under `budget_ms`; those refused count as late.
    """

    requests_per_second: float
    p99_ms: float
    budget_ms: float
    texts: str = Field(description="kind or scenario of the load test")
    models: list[str] = Field(description="those that the requests went to")
    limited_by: str = Field(description="what the next higher rate met")
    way: str = Field(description="how the engine was run")
    hardware: Hardware
    noted_at: str


class Plan(Record):
    """A TensorRT plan: the engine file compiled for one kind of GPU and one TensorRT.

    It lies as `model.plan` beside the ONNX file that it was made of, which is the card's engine.
    """

    plan_sha256: str
    plan_bytes: int
    gpu: str
    compute_capability: str
    driver: str
    tensorrt: str
    gpu_memory_bytes: int | None = Field(
        default=None, description="of the GPU, for values between layers, of one context"
    )
    profiles: list[list[int]] = Field(
        description="least tokens, tokens, texts it is best at, most texts"
    )


class EngineCard(Record):
    """Everything known about one engine file."""

    name: str
    version: str
    description: str
    task: Literal["classify", "summarize"]
    output: Literal["logits", "embedding"]
    problem_type: Literal["single_label", "multi_label", "regression"] = "single_label"
    labels: list[str]
    thresholds: list[float] | None = Field(
        default=None, description="per label, for multi_label: the label is given above it"
    )
    max_tokens: int
    backend: str
    precision: str
    scheme: str
    scheme_notes: list[str] = Field(description="what else was tried, with figures")
    base: str
    base_sha256: str
    adapter: str | None
    adapter_sha256: str | None
    engine_sha256: str
    tokenizer_sha256: str
    recipe_sha256: str = Field(description="checksum over everything the build read")
    training: dict[str, object] | None = Field(
        default=None, description="the adapter's own record: data, seed, figures"
    )
    imported: dict[str, object] | None = Field(
        default=None, description="the checkpoint that it was imported from: files, export"
    )
    tools: dict[str, str]
    machine: str
    hardware: Hardware | None = Field(default=None, description="None on cards of before")
    built_at: str
    engine_bytes: int
    reference_bytes: int
    memory_bytes: int | None = None
    drift: Drift
    invariance: Invariance
    accuracy: list[Accuracy] = Field(default_factory=list)
    timings: list[Timing] = Field(default_factory=list)
    gate: Verdict
    tuning: Tuning | None = None
    capacities: list[Capacity] = Field(
        default_factory=list, description="one for each kind of texts and machine"
    )
    plan: Plan | None = None

    def as_built(self) -> EngineCard:
        """The card of this ONNX engine as nobody tuned it: INT8 by ONNX Runtime, on processors."""
        return self.model_copy(
            update={"backend": "onnxruntime", "precision": "INT8", "tuning": None}
        )


def read_card(folder: Path) -> EngineCard:
    """Read the card of a version folder.

    Raises:
        FileNotFoundError: there is no card.
        pydantic.ValidationError: the card is not one.
    """
    return EngineCard.model_validate_json((folder / CARD_FILE).read_bytes())


def write_card(card: EngineCard, folder: Path) -> None:
    """Write `card.json` into a version folder, replacing one that is there."""
    text = json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=False)
    (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")

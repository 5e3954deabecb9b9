"""Measures a built engine and fills its card."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, Accuracy, Drift, EngineCard, Invariance, Timing
from core.tokenizer import TextTokenizer
from engines import base, gate, measure
from engines.catalog import MAX_TOKENS, ModelSpec
from engines.checksums import file_sha256
from engines.data import LabelledText
from engines.material import Material
from engines.merge import Adapter
from engines.revision import tool_versions
from engines.schemes import SCHEME, SCHEME_NOTES
from engines.timing import timings

TOOLS = ("onnx", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True)
class Ingredients:
    """All that an engine is made of, verified; `recipe_sha256` covers what decides its bytes."""

    spec: ModelSpec
    base_folder: Path
    adapter: Adapter | None
    recipe_sha256: str


class Measured:
    """The engine file in `folder` beside its unquantized graph, both ready to run."""

    def __init__(self, ingredients: Ingredients, folder: Path, reference: onnx.ModelProto) -> None:
        self.spec = ingredients.spec
        self.folder = folder
        self.reference = reference
        self.engine_session = measure.open_session(folder / ENGINE_FILE)
        self.reference_session = measure.open_session(reference)
        self.tokenizer = TextTokenizer(folder / TOKENIZER_FILE, MAX_TOKENS)

    def held_still(self, texts: Sequence[str]) -> tuple[Drift, Invariance]:
        """Drift against the unquantized graph, and invariance, over `texts`."""
        rows = [tokens.ids for tokens in self.tokenizer.encode(list(texts))]
        alone = measure.answers_alone(self.engine_session, rows)
        expected = measure.answers_alone(self.reference_session, rows)
        return (
            measure.drift(expected, alone, self.spec.output),
            measure.invariance(self.engine_session, rows, alone, gate.INVARIANCE_LIMIT),
        )

    def accuracies(self, labelled: Mapping[str, Sequence[LabelledText]]) -> list[Accuracy]:
        """Accuracy on each labelled data set."""
        result = []
        for name, items in labelled.items():
            rows = [tokens.ids for tokens in self.tokenizer.encode([item.text for item in items])]
            order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
            sorted_rows = [rows[index] for index in order]
            labels = np.array([items[index].label for index in order], dtype=np.int64)
            expected = measure.answers_in_batches(self.reference_session, sorted_rows)
            answered = measure.answers_in_batches(self.engine_session, sorted_rows)
            result.append(measure.accuracy(name, labels, expected, answered))
        return result

    def timings(self) -> list[Timing]:
        """Latency of engine and unquantized graph."""
        path = self.folder / ENGINE_FILE
        return timings(path, self.reference)


def measured_card(
    ingredients: Ingredients,
    folder: Path,
    version: str,
    reference: onnx.ModelProto,
    material: Material,
) -> EngineCard:
    """Measure the engine file in `folder` against its unquantized graph, and judge it."""
    measured = Measured(ingredients, folder, reference)
    drift, invariance = measured.held_still(material.probes)
    accuracies = measured.accuracies(material.labelled)
    return EngineCard(
        **_identity(ingredients),
        version=version,
        backend="onnxruntime",
        precision="INT8",
        scheme=SCHEME,
        scheme_notes=list(SCHEME_NOTES),
        engine_sha256=file_sha256(folder / ENGINE_FILE),
        tokenizer_sha256=file_sha256(folder / TOKENIZER_FILE),
        tools=engine_tools(),
        machine=machine(),
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        engine_bytes=(folder / ENGINE_FILE).stat().st_size,
        reference_bytes=reference.ByteSize(),
        memory_bytes=measure.memory_bytes(folder / ENGINE_FILE),
        drift=drift,
        invariance=invariance,
        accuracy=accuracies,
        timings=measured.timings(),
        gate=gate.judge(drift, invariance, accuracies),
    )


def _identity(ingredients: Ingredients) -> dict[str, Any]:
    """The card's fields that tell what the engine answers and what it is made of."""
    spec, adapter = ingredients.spec, ingredients.adapter
    return {
        "name": spec.name,
        "description": spec.description,
        "task": spec.task,
        "output": spec.output,
        "labels": list(spec.labels),
        "max_tokens": MAX_TOKENS,
        "base": base.BASE_NAME,
        "base_sha256": base.SHA256[base.WEIGHTS_FILE],
        "adapter": spec.adapter,
        "adapter_sha256": adapter.sha256 if adapter else None,
        "recipe_sha256": ingredients.recipe_sha256,
        "training": training_record(adapter),
    }


def training_record(adapter: Adapter | None) -> dict[str, Any] | None:
    """What the adapter's own card says, less the checksum, which the engine's card has."""
    if adapter is None:
        return None
    return {key: value for key, value in adapter.card.items() if key != "adapter_sha256"}


def engine_tools() -> dict[str, str]:
    """Versions of the packages that make and run engines."""
    return tool_versions(TOOLS)


def machine() -> str:
    """The processor and the operating system."""
    information = Path("/proc/cpuinfo")
    processor = platform.processor()
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return f"{processor or platform.machine()}, {platform.platform()}"

"""Measures a built engine and fills its card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard
from core.tokenizer import TextTokenizer
from engines import base, measure
from engines.catalog import MAX_TOKENS, ModelSpec
from engines.checksums import file_sha256
from engines.examiner import Examiner, Findings
from engines.hardware import hardware, machine
from engines.material import Material
from engines.measure import Engine
from engines.merge import Adapter
from engines.revision import tool_versions
from engines.schemes import SCHEME, SCHEME_NOTES
from engines.timing import TOKEN_IDS, timings

TOOLS = ("onnx", "onnxruntime", "numpy", "tokenizers")


@dataclass(frozen=True)
class Ingredients:
    """All that an engine is made of, verified; `recipe_sha256` covers what decides its bytes."""

    spec: ModelSpec
    base_folder: Path
    adapter: Adapter | None
    recipe_sha256: str


def examined(
    spec: ModelSpec, folder: Path, reference: onnx.ModelProto, material: Material, engine: Engine
) -> Findings:
    """What an engine of `folder`, which has its tokenizer, does to the answers."""
    tokenizer = TextTokenizer(folder / TOKENIZER_FILE, MAX_TOKENS)
    examiner = Examiner(spec.output, tokenizer, measure.open_session(reference), material)
    return examiner.examine(engine)


def measured_card(
    ingredients: Ingredients,
    folder: Path,
    version: str,
    reference: onnx.ModelProto,
    material: Material,
) -> EngineCard:
    """Measure the engine file in `folder` against its unquantized graph, and judge it."""
    engine = measure.open_session(folder / ENGINE_FILE)
    findings = examined(ingredients.spec, folder, reference, material, engine)
    return EngineCard(
        **_identity(ingredients),
        **measured_fields(folder, reference, findings),
        version=version,
        scheme=SCHEME,
        scheme_notes=list(SCHEME_NOTES),
        tools=engine_tools(),
    )


def measured_fields(
    folder: Path, reference: onnx.ModelProto, findings: Findings, token_ids: int = TOKEN_IDS
) -> dict[str, Any]:
    """A card's fields on the files in `folder`, measured here: what an INT8 engine is, takes and
    was found to do.

    Args:
        folder: with engine and tokenizer.
        reference: the unquantized graph.
        findings: what the gate found of the engine.
        token_ids: time is measured with tokens below this.
    """
    engine = folder / ENGINE_FILE
    return {
        "backend": "onnxruntime",
        "precision": "INT8",
        "engine_sha256": file_sha256(engine),
        "tokenizer_sha256": file_sha256(folder / TOKENIZER_FILE),
        "machine": machine(),
        "hardware": hardware(),
        "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "engine_bytes": engine.stat().st_size,
        "reference_bytes": reference.ByteSize(),
        "memory_bytes": measure.memory_bytes(engine),
        "drift": findings.drift,
        "invariance": findings.invariance,
        "accuracy": findings.accuracy,
        "timings": timings(engine, reference, token_ids=token_ids),
        "gate": findings.verdict,
    }


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

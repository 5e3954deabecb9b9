"""The card of an imported engine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard
from engines import measure
from engines.checkpoint import Checkpoint
from engines.checksums import file_sha256, value_sha256
from engines.quantize_imported import SCHEME
from engines.record import engine_tools, machine
from engines.revision import tool_versions
from engines.sensitivity import Quantized
from engines.timing import timings

EXPORT_TOOLS = ("torch", "transformers", "onnxscript")
# Time does not depend on which tokens are run; these are in most vocabularies.
MOST_TOKEN_IDS = 20_000


def imported_card(
    name: str,
    checkpoint: Checkpoint,
    found: Quantized,
    folder: Path,
    reference: onnx.ModelProto,
    difference: float,
) -> EngineCard:
    """Measure time and memory of the engine file in `folder`, and write down all that is known.

    Args:
        name: what the model is called.
        checkpoint: what it was imported from.
        found: the engine and what the gate found of it.
        folder: the version folder, with engine and tokenizer.
        reference: the unquantized graph.
        difference: how far that graph's logits are from PyTorch's.
    """
    engine = folder / ENGINE_FILE
    findings = found.findings
    return EngineCard(
        **_identity(name, checkpoint, difference),
        **_files(checkpoint, folder),
        version=folder.name,
        backend="onnxruntime",
        precision="INT8",
        scheme=SCHEME,
        scheme_notes=scheme_notes(found),
        machine=machine(),
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
        engine_bytes=engine.stat().st_size,
        reference_bytes=reference.ByteSize(),
        memory_bytes=measure.memory_bytes(engine),
        drift=findings.drift,
        invariance=findings.invariance,
        accuracy=findings.accuracy,
        timings=timings(engine, reference, token_ids=min(MOST_TOKEN_IDS, checkpoint.vocabulary)),
        gate=findings.verdict,
    )


def _identity(name: str, checkpoint: Checkpoint, difference: float) -> dict[str, Any]:
    """The card's fields that tell what the engine answers and where it came from."""
    return {
        "name": name,
        "description": f"{checkpoint.architecture}, imported from {checkpoint.source}.",
        "task": "classify",
        "output": "logits",
        "problem_type": checkpoint.problem_type,
        "labels": list(checkpoint.labels),
        "max_tokens": checkpoint.max_tokens,
        "base": checkpoint.source,
        "base_sha256": value_sha256(checkpoint.files),
        "adapter": None,
        "adapter_sha256": None,
        "imported": {
            "architecture": checkpoint.architecture,
            "files": checkpoint.files,
            "largest_difference_from_pytorch": difference,
            "notes": list(checkpoint.notes),
        },
    }


def _files(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """The card's fields that hold what was written to its bytes, and to what it was made with."""
    tools = engine_tools() | tool_versions(EXPORT_TOOLS)
    engine_sha256 = file_sha256(folder / ENGINE_FILE)
    recipe = {
        "files": checkpoint.files,
        "labels": checkpoint.labels,
        "problem_type": checkpoint.problem_type,
        "engine": engine_sha256,
        "tools": tools,
    }
    return {
        "engine_sha256": engine_sha256,
        "tokenizer_sha256": file_sha256(folder / TOKENIZER_FILE),
        "recipe_sha256": value_sha256(recipe),
        "tools": tools,
    }


def scheme_notes(found: Quantized) -> list[str]:
    """Which layers stayed FP32, if any."""
    if not found.kept:
        return ["every linear layer of the encoder runs in INT8"]
    names = ", ".join(layer.label for layer in found.kept)
    return [f"kept in FP32, so that the gate passes: {names}"]

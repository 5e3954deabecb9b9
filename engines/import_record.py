"""The card of an imported engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx

from core.card import EngineCard
from engines.checkpoint import Checkpoint
from engines.checksums import value_sha256
from engines.quantize_imported import SCHEME
from engines.record import engine_tools, measured_fields
from engines.revision import tool_versions
from engines.sensitivity import Quantized
from engines.timing import TOKEN_IDS

EXPORT_TOOLS = ("torch", "transformers", "onnxscript")


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
    token_ids = min(TOKEN_IDS, checkpoint.vocabulary)
    measured = measured_fields(folder, reference, found.findings, token_ids)
    return EngineCard(
        **_identity(name, checkpoint, difference),
        **measured,
        **_made_with(checkpoint, measured["engine_sha256"]),
        version=folder.name,
        scheme=SCHEME,
        scheme_notes=scheme_notes(found),
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


def _made_with(checkpoint: Checkpoint, engine_sha256: str) -> dict[str, Any]:
    """The card's fields that hold tools, and what all of it comes to."""
    tools = engine_tools() | tool_versions(EXPORT_TOOLS)
    recipe = {
        "files": checkpoint.files,
        "labels": checkpoint.labels,
        "problem_type": checkpoint.problem_type,
        "engine": engine_sha256,
        "tools": tools,
    }
    return {"recipe_sha256": value_sha256(recipe), "tools": tools}


def scheme_notes(found: Quantized) -> list[str]:
    """Which layers stayed FP32, if any."""
    if not found.kept:
        return ["every linear layer of the encoder runs in INT8"]
    names = ", ".join(layer.label for layer in found.kept)
    return [f"kept in FP32, so that the gate passes: {names}"]

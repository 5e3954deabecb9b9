"""Writes what was trained beside its record: a folder like those of `engines/adapters/`.

Needs the `train` extra.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.adapter_folder import write_folder
from engines.base import WEIGHTS_FILE
from engines.checksums import file_sha256
from engines.revision import tool_versions
from engines.trainer import Trainer

TOOLS = ("torch", "transformers", "peft", "tokenizers")


def write_adapter(
    trainer: Trainer, task: str, about: dict[str, Any], base: Path, out: Path
) -> dict[str, Any]:
    """Write the trained adapter and its card into `out`; returns the card.

    Args:
        trainer: what was trained.
        task: what it is called.
        about: what the card says beside what the trainer knows: data, history, figures, notes.
        base: folder of the base encoder that it was trained on.
        out: the folder to write into; made where it is missing.
    """
    base_sha256 = file_sha256(base / WEIGHTS_FILE)
    metadata = {**trainer.model.kind(), "labels": trainer.labels, "base_sha256": base_sha256}

    def card(adapter_sha256: str) -> dict[str, Any]:
        return {
            "task": task,
            "labels": list(trainer.labels),
            "adapter_sha256": adapter_sha256,
            "base_sha256": base_sha256,
            "recipe": asdict(trainer.recipe),
            **about,
            "trained_parameters": sum(p.numel() for p in trainer.trained.values()),
            "tools": training_tools(),
        }

    return write_folder(out, lambda path: trainer.save_adapter(path, metadata), card)


def training_tools() -> dict[str, str]:
    """Versions of the packages that an adapter's bytes depend on."""
    return tool_versions(TOOLS)

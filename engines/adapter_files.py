"""Writes what was trained beside its record: a folder like those of `engines/adapters/`.

Needs the `train` extra.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines.base import WEIGHTS_FILE
from engines.checksums import file_sha256
from engines.merge import ADAPTER_FILE, CARD_FILE
from engines.revision import tool_versions
from engines.trainer import Trainer

TOOLS = ("torch", "transformers", "peft", "tokenizers")


def write_adapter(
    trainer: Trainer, task: str, about: dict[str, Any], base: Path, out: Path
) -> dict[str, Any]:
    """Write the trained adapter and its card into `out`; returns the card.

    Both are written whole elsewhere first, so that a full disk leaves `out` as it was.

    Args:
        trainer: what was trained.
        task: what it is called.
        about: what the card says beside what the trainer knows: data, history, figures, notes.
        base: folder of the base encoder that it was trained on.
        out: the folder to write into; made where it is missing.
    """
    base_sha256 = file_sha256(base / WEIGHTS_FILE)
    metadata = {**trainer.model.kind(), "labels": trainer.labels, "base_sha256": base_sha256}
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as folder:
        staged = Path(folder)
        trainer.save_adapter(staged / ADAPTER_FILE, metadata)
        record = {
            "task": task,
            "labels": list(trainer.labels),
            "adapter_sha256": file_sha256(staged / ADAPTER_FILE),
            "base_sha256": base_sha256,
            "recipe": asdict(trainer.recipe),
            **about,
            "trained_parameters": sum(p.numel() for p in trainer.model.trained().values()),
            "tools": training_tools(),
        }
        (staged / CARD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        for name in (ADAPTER_FILE, CARD_FILE):
            shutil.move(staged / name, out / name)
    return record


def training_tools() -> dict[str, str]:
    """Versions of the packages that an adapter's bytes depend on."""
    return tool_versions(TOOLS)

"""The FP32 twin of a default model's engine, to evaluate beside it: what quantization changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, Tuning, write_card
from engines import base
from engines.catalog import CATALOG
from engines.checksums import file_sha256
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.making import ingredients_of, reference_graph
from engines.merge import ADAPTERS
from engines.runtimes import REFERENCE_FILE

VERSION_SUFFIX = "-fp32"


def write_twin(
    card: EngineCard, folder: Path, base_folder: Path | None = None, adapters: Path = ADAPTERS
) -> None:
    """Write a version folder whose served file is the unquantized graph of a default model.

    Args:
        card: of the quantized engine.
        folder: to write into.
        base_folder: with the base encoder; fetched by default.
        adapters: the folder of adapters.

    Raises:
        EngineError: the engine is no default model's, or was made of another base or adapter.
    """
    if card.name not in CATALOG or card.imported is not None:
        raise EngineError(
            f"--against fp32: {card.name} is not one of the default models, whose unquantized "
            "graph can be made again; name another engine or version folder"
        )
    ingredients = ingredients_of(CATALOG[card.name], base.ensure_base(base_folder), adapters)
    adapter = ingredients.adapter
    here = (base.SHA256[base.WEIGHTS_FILE], adapter.sha256 if adapter else None)
    if (card.base_sha256, card.adapter_sha256) != here:
        raise EngineError(
            f"--against fp32: version {card.version} of {card.name} was made of another base or "
            "adapter than those here"
        )
    onnx.save(reference_graph(ingredients), folder / REFERENCE_FILE)
    # A version folder is whole with a file of this name; the other is what its tuning runs.
    (folder / ENGINE_FILE).hardlink_to(folder / REFERENCE_FILE)
    shutil.copyfile(ingredients.base_folder / base.TOKENIZER_FILE, folder / TOKENIZER_FILE)
    write_card(_twin_card(card, folder), folder)


def _twin_card(card: EngineCard, folder: Path) -> EngineCard:
    # A plan is run on a GPU, and the twin on the processor.
    served = as_served(
        card.model_copy(update={"tuning": None, "plan": None}) if card.plan else card
    )
    tuning = Tuning(
        backend="onnxruntime",
        precision="FP32",
        threads=served.threads,
        instances=served.instances,
        engine_file=REFERENCE_FILE,
        line_overhead_ms=0.0,
        line_ms_per_token=0.0,
        machine=card.machine,
        hardware=card.hardware,
        tuned_at=card.built_at,
    )
    changes = {
        "version": f"{card.version}{VERSION_SUFFIX}",
        "precision": "FP32",
        "scheme": "not quantized",
        "engine_sha256": file_sha256(folder / REFERENCE_FILE),
        "tokenizer_sha256": file_sha256(folder / TOKENIZER_FILE),
        "tuning": tuning,
        "plan": None,
    }
    return card.model_copy(update=changes)

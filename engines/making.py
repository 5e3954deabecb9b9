"""Makes one version folder of an engine: graph, INT8, measurement, gate. One line each.

Nothing ungated is left behind: the folder appears, whole, only after the gate has passed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import onnx

from core.card import ENGINE_FILE, TOKENIZER_FILE, EngineCard, write_card
from core.tokenizer import TextTokenizer
from engines import base, gate, graph
from engines.calibrate import channel_ranges
from engines.catalog import MAX_TOKENS, ModelSpec
from engines.checksums import file_sha256, value_sha256
from engines.material import Material
from engines.merge import merge, read_adapter
from engines.quantize import quantize
from engines.record import Ingredients, engine_tools, measured_card

# The modules whose text decides what an engine is and what its card says.
RECIPE_MODULES = (
    "base", "calibrate", "examiner", "gate", "graph", "graph_builder", "making", "material",
    "measure", "memory", "merge", "quantize", "record", "schemes", "texts", "timing",
)  # fmt: skip


def ingredients_of(spec: ModelSpec, base_folder: Path, adapters: Path) -> Ingredients:
    """What a model is made of, verified.

    Raises:
        EngineError: the adapter is missing or not what it should be.
    """
    adapter = None
    if spec.adapter:
        expected = base.SHA256[base.WEIGHTS_FILE]
        adapter = read_adapter(adapters / spec.adapter, expected, spec.labels)
    here = Path(__file__).resolve().parent
    recipe = {
        "base": base.SHA256,
        "adapter": adapter.sha256 if adapter else None,
        "spec": [spec.task, spec.output, spec.labels],
        "modules": {name: file_sha256(here / f"{name}.py") for name in RECIPE_MODULES},
        "tools": engine_tools(),
    }
    return Ingredients(spec, base_folder, adapter, value_sha256(recipe))


def reference_graph(ingredients: Ingredients) -> onnx.ModelProto:
    """The unquantized graph: base, what was trained of it, and head.

    Raises:
        EngineError: weights are missing or do not fit.
    """
    weights = base.load_weights(ingredients.base_folder)
    adapter = ingredients.adapter
    if adapter is None:
        return graph.embedding_graph(weights, base.SHAPE)
    shape = replace(base.SHAPE, layers=adapter.layers or base.SHAPE.layers)
    merged = merge(weights, adapter)
    return graph.classifier_graph(merged, shape, adapter.head_weight, adapter.head_bias)


def make_version(
    ingredients: Ingredients,
    material: Callable[[], Material],
    target: Path,
    told: Callable[[str], None] = lambda step: None,
) -> EngineCard:
    """Make the version folder `target`, named by its number; one that is there is replaced whole.

    Args:
        material: read once the ingredients have been verified, since it may be large.
        told: hears what is being done.

    Raises:
        EngineError: something does not fit, or the gate refuses; `target` is as it was.
    """
    # Inside the model, where Triton passes over folders that are not version numbers.
    partial = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        told("merging and quantizing")
        texts = material()
        reference = _write_engine(ingredients, texts.calibration, partial)
        told("measuring")
        card = measured_card(ingredients, partial, target.name, reference, texts)
        gate.require(ingredients.spec.name, card.gate)
        write_card(card, partial)
        _put_in_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return card


def _write_engine(
    ingredients: Ingredients, calibration: Sequence[str], folder: Path
) -> onnx.ModelProto:
    """Write the INT8 engine and its tokenizer; returns the unquantized graph."""
    tokenizer_file = ingredients.base_folder / base.TOKENIZER_FILE
    tokenizer = TextTokenizer(tokenizer_file, MAX_TOKENS)
    rows = [tokens.ids for tokens in tokenizer.encode(list(calibration))]
    reference = reference_graph(ingredients)
    onnx.save(quantize(reference, channel_ranges(reference, rows)), folder / ENGINE_FILE)
    shutil.copyfile(tokenizer_file, folder / TOKENIZER_FILE)
    return reference


def _put_in_place(partial: Path, target: Path) -> None:
    partial.chmod(0o755)  # temporary folders are private; Triton may run as another user
    retired = partial.with_name(f"{partial.name}.retired")
    if target.exists():
        target.rename(retired)
    partial.rename(target)
    shutil.rmtree(retired, ignore_errors=True)

"""Compare INT8 schemes for one model: change, invariance, accuracy and time, beside FP32.

    .venv/bin/python -m benchmarks.int8_schemes MODEL [--data FOLDER] [--seconds S]

Every scheme rewrites the same graph. Times are taken in turns on one thread and given as the
median over that of FP32, so that a busy machine slows all alike. docs/int8.md has the results.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper
from rich.console import Console
from rich.table import Table

from core.tokenizer import TextTokenizer
from engines import base, gate, measure
from engines.calibrate import channel_ranges
from engines.catalog import CATALOG
from engines.data import read_labelled
from engines.graph import classifier_graph, embedding_graph
from engines.merge import ADAPTERS, merge, read_adapter
from engines.quantize import Scheme, by_producer, quantize
from engines.scheme_choices import MICROSOFT, by_blocks, dynamic, per_token, smoothed, static
from engines.texts import calibration_texts, probe_texts
from engines.timing import TIMED_SHAPES, relative_times

SCHEMES: dict[str, Scheme] = {
    "served": by_producer,
    "dynamic per tensor": dynamic,
    "static per tensor": static,
    "static, smoothed": smoothed,
    "per token": per_token,
    "MatMulNBits, blocks of 32": by_blocks(32),
    "MatMulNBits, blocks of 64": by_blocks(64),
    "MatMulNBits, blocks of 128": by_blocks(128),
}


def reference_graph(name: str, folder: Path) -> onnx.ModelProto:
    """The unquantized graph of a default model."""
    spec, weights = CATALOG[name], base.load_weights(folder)
    if spec.adapter is None:
        return embedding_graph(weights, base.SHAPE)
    expected = base.SHA256[base.WEIGHTS_FILE]
    adapter = read_adapter(ADAPTERS / spec.adapter, expected, spec.labels)
    merged = merge(weights, adapter)
    return classifier_graph(merged, base.SHAPE, adapter.head_weight, adapter.head_bias)


def row_of(
    name: str, session: ort.InferenceSession, expected: measure.Floats,
    rows: Sequence[list[int]], labels: Sequence[int],
) -> list[str]:  # fmt: skip
    """Change, invariance and accuracy of one scheme, as text."""
    alone = measure.answers_alone(session, rows)
    drift = measure.drift(expected, alone, session.get_outputs()[0].name)
    held = measure.invariance(session, rows, alone, gate.INVARIANCE_LIMIT)
    right = f"{100 * np.mean(alone.argmax(axis=1) == labels):.1f}" if labels else "–"
    change = [f"{drift.mean_change:.4f}", f"{drift.largest_change:.4f}", str(drift.labels_changed)]
    return [name, *change, f"{held.largest_change:.1e}", str(held.labels_flipped), right]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=list(CATALOG))
    parser.add_argument("--data", type=Path, help="folder of labelled data; 500 texts are taken")
    parser.add_argument("--seconds", type=float, default=1.0, help="time per scheme and shape")
    options = parser.parse_args()
    folder = base.ensure_base()
    tokenizer = TextTokenizer(folder / base.TOKENIZER_FILE)
    reference = reference_graph(options.model, folder)
    ranges = channel_ranges(reference, [t.ids for t in tokenizer.encode(calibration_texts())])
    texts, labels = probe_texts(), []
    spec = CATALOG[options.model]
    if options.data and spec.data:
        items = [i for name in spec.data for i in read_labelled(options.data / name, spec.labels)]
        chosen = np.random.default_rng(50).permutation(len(items))[:500]
        texts, labels = [items[i].text for i in chosen], [items[i].label for i in chosen]
    rows = [tokens.ids for tokens in tokenizer.encode(texts)]
    sessions = {"FP32": measure.open_session(reference, threads=1)}
    for name, scheme in SCHEMES.items():
        engine = quantize(reference, ranges, scheme)
        engine.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
        sessions[name] = measure.open_session(engine, threads=1)
    times = [
        relative_times(sessions, batch, tokens, options.seconds) for batch, tokens in TIMED_SHAPES
    ]
    table = Table("scheme", "mean", "largest", "changed", "invariance", "flips", "accuracy %")
    for batch, tokens in TIMED_SHAPES:
        table.add_column(f"{batch}x{tokens}")
    expected = measure.answers_alone(sessions["FP32"], rows)
    for name, session in sessions.items():
        figures = row_of(name, session, expected, rows, labels)
        table.add_row(*figures, *(f"{each[name]:.2f}" for each in times))
    Console(width=160).print(table)  # whole also in a pipe


if __name__ == "__main__":
    main()

"""Graphs for a GPU of every architecture that is imported, run by ONNX Runtime's CPU provider."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from core.buckets import BUCKET_LENGTHS
from core.onnx_file import check_graph_bytes
from core.sub50_cuda import BoundEngine
from core.tokenizer import pad
from engines.checkpoint import read_checkpoint
from engines.cli import engines_app
from engines.gpu_config import GPU_RUN_TOKENS
from engines.gpu_graph import attention_left, attention_nodes, fused, gpu_graph, spelled_out
from engines.importing import Import, import_checkpoint
from engines.measure import Floats, feed, open_session
from engines.runtimes import GPU_FILE
from engines.simplify import simplified
from tests.engines.tiny_checkpoints import ARCHITECTURES, SIZES, VOCABULARY, write_checkpoint

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")

ALL = SIZES["num_hidden_layers"]
# DeBERTa adds scores of places that it gathers, ModernBERT turns queries and keys by their places.
FUSED = dict.fromkeys(ARCHITECTURES, ALL) | {
    "DebertaV2ForSequenceClassification": 0,
    "ModernBertForSequenceClassification": 0,
}
SAME = 1e-4

Export = Callable[[str], onnx.ModelProto]
each_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """The graph of an architecture whose biases all differ, exported once."""
    from engines import export

    made: dict[str, onnx.ModelProto] = {}

    def make(architecture: str) -> onnx.ModelProto:
        if architecture not in made:
            folder = tmp_path_factory.mktemp(architecture)
            checkpoint = read_checkpoint(write_checkpoint(folder, architecture, biases=0.3))
            classifier = export.load_classifier(checkpoint)
            made[architecture] = simplified(export.export_graph(classifier, checkpoint))
        return made[architecture]

    return make


def rows(count: int = 12) -> list[list[int]]:
    random = np.random.default_rng(3)
    lengths = [3, 400, *random.integers(3, 120, count - 2).tolist()]
    return [[2, *random.integers(4, VOCABULARY, n - 2).tolist(), 3] for n in lengths]


def logits(session: Any, texts: list[list[int]], length: int | None = None) -> Floats:
    found: Floats = session.run(None, feed(*pad(texts, length)))[0]
    return found


@each_architecture
def test_fused_in_fp32_it_answers_as_it_was_exported(architecture: str, exported: Export) -> None:
    model = exported(architecture)
    found = fused(model, 512)
    assert attention_left(model) == ALL
    assert attention_nodes(found) == FUSED[architecture]
    assert attention_left(found) == ALL - FUSED[architecture]
    assert bool(spelled_out(found)) == (FUSED[architecture] < ALL)
    norms = [node for node in found.graph.node if node.op_type == "SkipLayerNormalization"]
    assert len(norms) >= 2 * ALL
    before, after, texts = open_session(model), open_session(found), rows()
    together = logits(after, texts)
    assert together.std(axis=0).max() > 0.01, "all texts get the same answer: this proves nothing"
    np.testing.assert_allclose(together, logits(before, texts), atol=SAME)
    for index, text in enumerate(texts):
        alone = logits(before, [text], len(text))[0]
        np.testing.assert_allclose(together[index], alone, atol=SAME)
        for length in (len(text), 512):
            np.testing.assert_allclose(logits(after, [text], length)[0], alone, atol=SAME)


@each_architecture
def test_in_half_precision_it_may_be_served_and_answers_nearly_the_same(
    architecture: str, exported: Export
) -> None:
    model = exported(architecture)
    half = gpu_graph(model, 512)
    onnx.checker.check_model(half, full_check=True)
    check_graph_bytes(half.SerializeToString())
    assert attention_nodes(half) == FUSED[architecture]
    session = open_session(half)
    bound = BoundEngine(session, ["logits"], BUCKET_LENGTHS, GPU_RUN_TOKENS, device="cpu")
    (found,) = bound.run(feed(*pad(rows())))
    expected = logits(open_session(model), rows())
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_albert_stores_the_weights_of_its_one_attention_once(exported: Export) -> None:
    found = fused(exported("AlbertForSequenceClassification"), 512)
    weights = {n.input[1] for n in found.graph.node if n.op_type == "Attention"}
    assert len(weights) == 1


def test_an_imported_model_is_written_for_a_gpu(tmp_path: Path) -> None:
    """From the checkpoint to the file that is served, by the commands."""
    checkpoint = write_checkpoint(tmp_path / "it", "RobertaForSequenceClassification", biases=0.3)
    data = tmp_path / "rows.jsonl"
    texts = (f"a {'good ' * (n % 9)}film of {n} stars" for n in range(80))
    data.write_text("".join(f'{{"text": "{text}", "label": 0}}\n' for text in texts))
    repository = tmp_path / "models"
    import_checkpoint(Import(str(checkpoint), "mine", data=data), repository)
    command = ["tune", "mine", "--runtime", "cuda", "--unmeasured", "--data", str(data)]
    done = CliRunner().invoke(engines_app, [*command, "--repository", str(repository), "--json"])
    assert done.exit_code == 0, done.output
    (told,) = json.loads(done.stdout)
    assert told["left_out"] == []
    engine = onnx.load(repository / "mine" / "1" / GPU_FILE)
    assert (attention_nodes(engine), attention_left(engine)) == (ALL, 0)

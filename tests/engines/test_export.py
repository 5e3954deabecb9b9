"""The graphs of tiny checkpoints with random weights, of every architecture that is accepted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from core.card import TOKENIZER_FILE
from core.onnx_file import check_graph_bytes
from core.tokenizer import TextTokenizer, pad
from engines.calibrate import channel_ranges
from engines.checkpoint import ARCHITECTURES as ACCEPTED
from engines.checkpoint import read_checkpoint
from engines.errors import CheckpointError
from engines.gate import LARGEST_MEAN_CHANGE
from engines.gpu_graph import gpu_graph
from engines.linear_layers import Layer, find_layers, with_shared_ranges
from engines.measure import Floats, feed, open_session
from engines.quantize_imported import quantize_imported
from engines.scores import Scores
from engines.simplify import simplified
from engines.tensor_names import INPUT_NAMES
from tests.engines.test_linear_layers import integer_products
from tests.engines.tiny_checkpoints import ARCHITECTURES, VOCABULARY, write_checkpoint

pytest.importorskip("torch", reason="the training side is not installed; run `make setup-train`")
pytestmark = pytest.mark.train

# Linear layers of two encoder layers, each of query, key and value in one, attention's output, and
# two of the feed-forward part; and one from narrow embeddings to the encoder's width.
LAYERS = dict.fromkeys(ARCHITECTURES, 8) | {
    "AlbertForSequenceClassification": 9,
    "ElectraForSequenceClassification": 9,
}
BERT = "BertForSequenceClassification"


@dataclass(frozen=True)
class Exported:
    """A checkpoint as PyTorch answers, and as a graph."""

    folder: Path
    classifier: Any
    graph: onnx.ModelProto

    def layers(self) -> list[Layer]:
        return find_layers(self.graph, rows(1, seed=1)[0])

    def engine(self) -> onnx.ModelProto:
        ranges = channel_ranges(self.graph, rows(40, seed=7))
        layers = self.layers()
        return quantize_imported(self.graph, layers, with_shared_ranges(layers, ranges))


def rows(count: int, seed: int, longest: int = 120) -> list[list[int]]:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, longest, count)
    return [[2, *random.integers(4, VOCABULARY, n - 2).tolist(), 3] for n in lengths]


def logits(session: Any, texts: list[list[int]]) -> Floats:
    found: Floats = session.run(None, feed(*pad(texts)))[0]
    return found


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """The export of an architecture, made once."""
    from engines import export

    made: dict[str, Exported] = {}

    def make(architecture: str) -> Exported:
        if architecture not in made:
            folder = write_checkpoint(tmp_path_factory.mktemp(architecture), architecture)
            checkpoint = read_checkpoint(folder)
            classifier = export.load_classifier(checkpoint)
            graph = simplified(export.export_graph(classifier, checkpoint))
            made[architecture] = Exported(folder, classifier, graph)
        return made[architecture]

    return make


each_architecture = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


def test_every_accepted_architecture_is_tried_here() -> None:
    assert set(ARCHITECTURES) == set(ACCEPTED)


@each_architecture
def test_the_graph_answers_as_pytorch_does(
    architecture: str, exported: Callable[[str], Exported]
) -> None:
    from engines import export

    one = exported(architecture)
    assert [value.name for value in one.graph.graph.input] == list(INPUT_NAMES)
    session = open_session(one.graph)
    # One batch for each padded length, mixed lengths in it, and one text alone.
    for longest in (16, 60, 120, 500):
        texts = [*rows(4, seed=longest, longest=longest), rows(1, seed=1)[0][:longest]]
        expected = export.answers_of(one.classifier, texts)
        # In the same batches as there.
        answered = np.concatenate([logits(session, texts[:4]), logits(session, texts[4:])])
        assert np.abs(expected - answered).max() < 1e-4
    expected = export.answers_of(one.classifier, rows(16, seed=2))
    assert expected.std(axis=0).max() > 0.01, "all texts get the same answer: this proves nothing"
    assert export.largest_difference(one.classifier, one.graph, rows(16, seed=3)) < 1e-4


@each_architecture
def test_the_graph_for_a_gpu_answers_as_the_one_in_fp32(
    architecture: str, exported: Callable[[str], Exported]
) -> None:
    one = exported(architecture)
    for_gpu = gpu_graph(one.graph, 512)
    check_graph_bytes(for_gpu.SerializeToString())  # may be served
    texts = rows(16, seed=2)
    expected = logits(open_session(one.graph), texts)
    change = np.abs(logits(open_session(for_gpu), texts) - expected)
    assert change.mean() < LARGEST_MEAN_CHANGE


@each_architecture
def test_every_linear_layer_is_found_and_runs_on_integers(
    architecture: str, exported: Callable[[str], Exported], tmp_path: Path
) -> None:
    one = exported(architecture)
    assert len(one.layers()) == LAYERS[architecture]
    engine = one.engine()
    onnx.checker.check_model(engine, full_check=True)
    check_graph_bytes(engine.SerializeToString())  # may be served
    check_graph_bytes(one.graph.SerializeToString())
    assert integer_products(engine, tmp_path) == LAYERS[architecture]
    large = [t for t in engine.graph.initializer if np.prod(t.dims) >= VOCABULARY * 32]
    kinds = {t.data_type for t in large if VOCABULARY in t.dims}
    assert kinds == {onnx.TensorProto.INT8}, "the word embeddings"


@each_architecture
def test_int8_answers_stay_near_and_hold_still(
    architecture: str, exported: Callable[[str], Exported]
) -> None:
    one = exported(architecture)
    session, scores = open_session(one.engine()), Scores("single_label")
    texts = rows(48, seed=4)
    alone = scores.alone(session, texts)
    drift = scores.drift(scores.alone(open_session(one.graph), texts), alone)
    assert 0 < drift.mean_change < 0.03
    found = scores.invariance(session, texts, alone, 512, 2e-3)
    assert found.largest_change < 1e-4
    assert found.labels_flipped == 0


def test_albert_stores_its_one_layer_once(exported: Callable[[str], Exported]) -> None:
    one = exported("AlbertForSequenceClassification")
    engine = one.engine()
    whole = [t for t in engine.graph.initializer if t.data_type == onnx.TensorProto.INT8]
    matrices = [t for t in whole if len(t.dims) == 2]
    # Words, the way from narrow embeddings, and the four of the layer that is used twice.
    assert len(matrices) == 6


def test_weights_that_do_not_fit_the_configuration(
    exported: Callable[[str], Exported], tmp_path: Path
) -> None:
    from engines import export

    folder = tmp_path / "checkpoint"
    shutil.copytree(exported(BERT).folder, folder)
    config = json.loads((folder / "config.json").read_text())
    for changes, said in (({"num_hidden_layers": 3}, "lack"), ({"hidden_size": 32}, "lack|loaded")):
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(CheckpointError, match=said):
            export.load_classifier(read_checkpoint(folder))


def test_a_graph_that_answers_otherwise_is_refused(exported: Callable[[str], Exported]) -> None:
    from engines import export

    one = exported(BERT)
    wrong = onnx.ModelProto()
    wrong.CopyFrom(one.graph)
    (head,) = [node for node in wrong.graph.node if node.output[0] == "logits"]
    (weight,) = [t for t in wrong.graph.initializer if t.name == head.input[1]]
    moved = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(moved, weight.name))
    with pytest.raises(CheckpointError, match=r"differ from PyTorch's by 0\.0"):
        export.largest_difference(one.classifier, wrong, rows(8, seed=2))


def test_a_tokenizer_is_made_from_an_old_vocabulary(
    exported: Callable[[str], Exported], tmp_path: Path
) -> None:
    from engines import export

    folder = tmp_path / "checkpoint"
    shutil.copytree(exported(BERT).folder, folder)
    vocabulary = json.loads((folder / TOKENIZER_FILE).read_text())["model"]["vocab"]
    (folder / TOKENIZER_FILE).unlink()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocabulary))
    checkpoint = read_checkpoint(folder)
    export.write_tokenizer(checkpoint, tmp_path / TOKENIZER_FILE)
    texts = ["the good film", "a bad contract, term 7."]
    made = TextTokenizer(tmp_path / TOKENIZER_FILE).encode(texts)
    original = TextTokenizer(exported(BERT).folder / TOKENIZER_FILE).encode(texts)
    assert [row.ids for row in made] == [row.ids for row in original]

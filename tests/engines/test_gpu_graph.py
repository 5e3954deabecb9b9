"""Graphs for a GPU, run by ONNX Runtime's CPU provider, which has the same operators in FP32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from core.buckets import BUCKET_LENGTHS
from core.onnx_file import EngineFileError, check_engine_file
from core.sub50_cuda import BoundEngine, max_tokens_of
from core.tokenizer import pad
from engines.gpu_config import GPU_RUN_TOKENS
from engines.gpu_graph import attention_nodes, gpu_graph
from engines.graph import classifier_graph, embedding_graph
from engines.measure import answers_alone, answers_in_batches, feed, open_session
from engines.tensor_names import INPUT_NAMES
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights

# FP16 has eleven bits: a part in two thousand, of values that are sums of many.
CLOSE = 0.02


@pytest.fixture(scope="module")
def classifier() -> onnx.ModelProto:
    return classifier_graph(tiny_weights(), SHAPE, *tiny_head())


@pytest.fixture(scope="module")
def for_gpu(classifier: onnx.ModelProto) -> onnx.ModelProto:
    return gpu_graph(classifier, 512)


def test_answers_are_those_of_the_unquantized_graph_within_fp16(
    classifier: onnx.ModelProto, for_gpu: onnx.ModelProto
) -> None:
    rows = tiny_rows(40)
    expected = answers_alone(open_session(classifier, threads=1), rows)
    session = open_session(for_gpu, threads=1)
    np.testing.assert_allclose(answers_alone(session, rows), expected, atol=CLOSE)
    np.testing.assert_allclose(answers_in_batches(session, rows), expected, atol=CLOSE)


def test_embeddings_are_those_of_the_unquantized_graph_within_fp16() -> None:
    graph = embedding_graph(tiny_weights(), SHAPE)
    rows = tiny_rows(20)
    expected = answers_alone(open_session(graph, threads=1), rows)
    found = answers_in_batches(open_session(gpu_graph(graph, 512), threads=1), rows)
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=CLOSE)


def test_a_text_does_not_depend_on_its_padding(for_gpu: onnx.ModelProto) -> None:
    session = open_session(for_gpu, threads=1)
    (row,) = tiny_rows(1)
    ids, mask = pad([row], 128)
    ids[0, len(row) :] = 7  # never seen
    (short,) = session.run(None, feed(*pad([row])))
    (long,) = session.run(None, feed(ids, mask))
    np.testing.assert_allclose(long, short, atol=2e-3)


def test_attention_is_one_operator_and_weights_are_fp16(for_gpu: onnx.ModelProto) -> None:
    assert attention_nodes(for_gpu) == SHAPE.layers
    kinds = {node.op_type for node in for_gpu.graph.node}
    # No shape depends on a value: such a run cannot be recorded.
    assert not kinds & {"NonZero", "CumSum", "Softmax"}
    types = {tensor.data_type for tensor in for_gpu.graph.initializer}
    assert TensorProto.FLOAT not in types
    assert TensorProto.FLOAT16 in types
    used = {name for node in for_gpu.graph.node for name in node.input}
    assert {tensor.name for tensor in for_gpu.graph.initializer} <= used


def test_it_has_the_inputs_and_outputs_of_every_engine(
    classifier: onnx.ModelProto, for_gpu: onnx.ModelProto
) -> None:
    session = open_session(for_gpu, threads=1)
    assert [(t.name, t.type) for t in session.get_inputs()] == [
        (name, "tensor(int64)") for name in INPUT_NAMES
    ]
    assert list(for_gpu.graph.output) == list(classifier.graph.output)
    assert max_tokens_of(session) == 512


def test_it_is_run_at_fixed_places_as_it_is_served(
    classifier: onnx.ModelProto, for_gpu: onnx.ModelProto
) -> None:
    rows = tiny_rows(6)
    session = open_session(for_gpu, threads=1)
    engine = BoundEngine(session, ["logits"], BUCKET_LENGTHS, GPU_RUN_TOKENS, device="cpu")
    (logits,) = engine.run(feed(*pad(rows)))
    (expected,) = open_session(classifier, threads=1).run(None, feed(*pad(rows)))
    np.testing.assert_allclose(logits, expected, atol=0.2, rtol=0.02)
    np.testing.assert_array_equal(logits.argmax(axis=1), expected.argmax(axis=1))


def test_it_may_be_served_and_operators_of_others_still_may_not(
    for_gpu: onnx.ModelProto, tmp_path: Path
) -> None:
    onnx.save(for_gpu, tmp_path / "model.fp16.onnx")
    check_engine_file(tmp_path / "model.fp16.onnx")
    foreign = onnx.ModelProto()
    foreign.CopyFrom(for_gpu)
    next(n for n in foreign.graph.node if n.op_type == "Attention").op_type = "PagedAttention"
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(EngineFileError, match=r"com\.microsoft\.PagedAttention"):
        check_engine_file(tmp_path / "foreign.onnx")


def test_onnx_runtime_itself_opens_it_with_every_optimization(for_gpu: onnx.ModelProto) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = ort.InferenceSession(
        for_gpu.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    assert session.get_outputs()[0].type == "tensor(float)"

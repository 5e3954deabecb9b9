from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.calibrate import ChannelRange, channel_ranges, linear_inputs
from engines.errors import EngineError
from engines.gate import INVARIANCE_LIMIT
from engines.graph import classifier_graph, embedding_graph
from engines.measure import answers_alone, drift, invariance, open_session
from engines.quantize import quantize, quantize_weight
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights


@pytest.fixture(scope="module")
def reference() -> onnx.ModelProto:
    return classifier_graph(tiny_weights(), SHAPE, *tiny_head())


@pytest.fixture(scope="module")
def engine(reference: onnx.ModelProto) -> onnx.ModelProto:
    return quantize(reference, channel_ranges(reference, tiny_rows(40, seed=7)))


def dynamic_per_tensor(model: onnx.ModelProto) -> onnx.ModelProto:
    """ONNX Runtime's dynamic scheme, written out: one activation scale for the whole batch."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    added: list[onnx.TensorProto] = []
    for node in model.graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            nodes.append(node)
            continue
        name = node.output[0]
        whole, scales = quantize_weight(numpy_helper.to_array(constants[node.input[1]]))
        added += [
            numpy_helper.from_array(whole, f"{name}.w"),
            numpy_helper.from_array(scales, f"{name}.ws"),
        ]
        quantized = [f"{name}.q", f"{name}.s", f"{name}.z"]
        nodes += [
            helper.make_node("DynamicQuantizeLinear", [node.input[0]], quantized),
            helper.make_node(
                "MatMulInteger", [quantized[0], f"{name}.w", quantized[2]], [f"{name}.i"]
            ),
            helper.make_node("Cast", [f"{name}.i"], [f"{name}.f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.f", f"{name}.ws"], [f"{name}.p"]),
            helper.make_node("Mul", [f"{name}.p", quantized[1]], [name]),
        ]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(added)
    return result


def test_answers_hold_still_in_batches_and_padded(engine: onnx.ModelProto) -> None:
    session = open_session(engine, threads=1)
    rows = tiny_rows(96)
    found = invariance(session, rows, answers_alone(session, rows), INVARIANCE_LIMIT)
    assert found.texts == 96
    assert found.largest_change < 1e-5
    assert found.labels_flipped == 0


def test_the_same_measurement_catches_dynamic_per_tensor_int8(reference: onnx.ModelProto) -> None:
    session = open_session(dynamic_per_tensor(reference), threads=1)
    rows = tiny_rows(96)
    found = invariance(session, rows, answers_alone(session, rows), INVARIANCE_LIMIT)
    assert found.largest_change > INVARIANCE_LIMIT


def test_answers_stay_near_the_unquantized_ones(
    reference: onnx.ModelProto, engine: onnx.ModelProto
) -> None:
    rows = tiny_rows(96)
    expected = answers_alone(open_session(reference, threads=1), rows)
    found = drift(expected, answers_alone(open_session(engine, threads=1), rows), "logits")
    assert 0 < found.mean_change < 0.01
    assert found.largest_change < 0.05


def test_smoothing_is_what_keeps_large_channels_from_drowning_the_others(
    reference: onnx.ModelProto, engine: onnx.ModelProto
) -> None:
    rows = tiny_rows(40)
    expected = answers_alone(open_session(reference, threads=1), rows)
    ranges = channel_ranges(reference, tiny_rows(40, seed=7))
    flat = {
        name: ChannelRange(
            np.full_like(seen.low, seen.low.min()), np.full_like(seen.high, seen.high.max())
        )
        for name, seen in ranges.items()
    }
    unsmoothed = answers_alone(open_session(quantize(reference, flat), threads=1), rows)
    smoothed = answers_alone(open_session(engine, threads=1), rows)
    assert np.abs(smoothed - expected).mean() < np.abs(unsmoothed - expected).mean()


def test_every_large_matrix_is_int8_and_the_head_is_not(engine: onnx.ModelProto) -> None:
    kinds = {tensor.name: tensor.data_type for tensor in engine.graph.initializer}
    assert kinds["encoder.layer.0.attention.qkv.weight"] == TensorProto.INT8
    assert kinds["encoder.layer.1.output.dense.weight"] == TensorProto.INT8
    assert kinds["embeddings.words.table"] == TensorProto.INT8
    assert "embeddings.word_embeddings.weight" not in kinds
    assert kinds["logits.weight"] == TensorProto.FLOAT


def test_the_engine_is_valid_standard_onnx(engine: onnx.ModelProto) -> None:
    onnx.checker.check_model(engine, full_check=True)
    assert {node.domain for node in engine.graph.node} == {""}


def test_an_embedding_graph_quantizes_too() -> None:
    model = embedding_graph(tiny_weights(), SHAPE)
    engine = quantize(model, channel_ranges(model, tiny_rows(20, seed=7)))
    rows = tiny_rows(32)
    expected = answers_alone(open_session(model, threads=1), rows)
    found = drift(expected, answers_alone(open_session(engine, threads=1), rows), "embedding")
    assert 0 < found.mean_change < 0.01


def test_weights_come_back_within_half_a_step() -> None:
    weight = np.random.default_rng(0).normal(0, 1, (32, 8)).astype(np.float32)
    weight[:, 3] = 0
    whole, scales = quantize_weight(weight)
    assert np.abs(whole * scales - weight).max() <= scales.max() / 2 + 1e-6
    assert np.abs(whole).max() == 127


def test_ranges_are_those_of_real_tokens(reference: onnx.ModelProto) -> None:
    rows = tiny_rows(3, seed=7)
    together = channel_ranges(reference, rows)
    assert set(together) == set(linear_inputs(reference))
    for name, seen in together.items():
        alone = [channel_ranges(reference, [row])[name] for row in rows]
        np.testing.assert_array_equal(seen.low, np.min([one.low for one in alone], axis=0))
        np.testing.assert_array_equal(seen.high, np.max([one.high for one in alone], axis=0))


def test_a_missing_range_is_named(reference: onnx.ModelProto) -> None:
    with pytest.raises(EngineError, match=r"embeddings\.LayerNorm"):
        quantize(reference, {})

"""The graph for TensorRT, run by ONNX Runtime: padding run, signed INT8, FP16; and its rules."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.calibrate import ChannelRange, channel_ranges
from engines.errors import EngineError, PlanError
from engines.gate import INVARIANCE_LIMIT
from engines.graph import classifier_graph, embedding_graph
from engines.half_precision import in_half
from engines.linear_layers import find_layers, with_shared_ranges
from engines.measure import answers, answers_alone, drift, invariance, open_session
from engines.padded_graph import keeping_padding, skips_padding
from engines.quantize import quantize
from engines.quantize_imported import quantize_imported
from engines.scheme_choices import dynamic
from engines.symmetric import by_producer, signed, symmetric_ranges
from engines.tensorrt_rules import broken_rules, check_tensorrt_rules
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights


@pytest.fixture(scope="module")
def reference() -> onnx.ModelProto:
    return classifier_graph(tiny_weights(), SHAPE, *tiny_head())


@pytest.fixture(scope="module")
def padded(reference: onnx.ModelProto) -> onnx.ModelProto:
    return keeping_padding(reference)


def by_scheme(model: onnx.ModelProto) -> onnx.ModelProto:
    """INT8 by the symmetric scheme, still unsigned."""
    rows = tiny_rows(40, seed=7)
    layers = find_layers(model, max(rows, key=len))
    ranges = symmetric_ranges(with_shared_ranges(layers, channel_ranges(model, rows)))
    return quantize_imported(model, layers, ranges, words=False, scheme=by_producer)


@pytest.fixture(scope="module")
def int8(padded: onnx.ModelProto) -> onnx.ModelProto:
    return in_half(signed(by_scheme(padded)))


def kinds(model: onnx.ModelProto) -> set[int]:
    return {tensor.data_type for tensor in model.graph.initializer}


def test_a_graph_that_runs_padding_answers_as_the_one_that_drops_it(
    reference: onnx.ModelProto, padded: onnx.ModelProto
) -> None:
    onnx.checker.check_model(padded, full_check=True)
    assert skips_padding(reference)
    assert not skips_padding(padded)
    rows = tiny_rows(8, longest=40)
    before, after = open_session(reference, threads=1), open_session(padded, threads=1)
    for length in (None, 96):
        np.testing.assert_allclose(
            answers(after, rows, length), answers(before, rows, length), atol=1e-5
        )


def test_no_shape_depends_on_what_is_in_the_mask(
    reference: onnx.ModelProto, padded: onnx.ModelProto
) -> None:
    assert {"NonZero", "CumSum"} <= {node.op_type for node in reference.graph.node}
    assert not {"NonZero", "CumSum", "Mod"} & {node.op_type for node in padded.graph.node}
    assert any("NonZero" in fault for fault in broken_rules(reference))
    check_tensorrt_rules(padded)


def test_an_embedding_graph_runs_padding_too() -> None:
    model = embedding_graph(tiny_weights(), SHAPE)
    rows = tiny_rows(4)
    expected = answers(open_session(model, threads=1), rows)
    found = answers(open_session(keeping_padding(model), threads=1), rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_graph_that_runs_padding_is_left_as_it_is(padded: onnx.ModelProto) -> None:
    assert keeping_padding(padded) is padded


def test_a_layout_that_is_not_known_is_named(reference: onnx.ModelProto) -> None:
    odd = onnx.ModelProto()
    odd.CopyFrom(reference)
    odd.graph.node.append(helper.make_node("Identity", ["layout.kept"], ["odd"]))
    with pytest.raises(EngineError, match=r"takes layout\.kept"):
        keeping_padding(odd)


def test_int8_agrees_with_fp32(reference: onnx.ModelProto, int8: onnx.ModelProto) -> None:
    rows = tiny_rows(96)
    expected = answers_alone(open_session(reference, threads=1), rows)
    found = drift(expected, answers_alone(open_session(int8, threads=1), rows), "logits")
    assert 0 < found.mean_change < 0.02
    assert found.labels_changed <= 5


def test_int8_holds_still_in_batches_and_padded(int8: onnx.ModelProto) -> None:
    session = open_session(int8, threads=1)
    rows = tiny_rows(48)
    found = invariance(session, rows, answers_alone(session, rows), INVARIANCE_LIMIT)
    assert found.largest_change < INVARIANCE_LIMIT


def test_signed_answers_are_those_of_unsigned_with_128_for_zero(padded: onnx.ModelProto) -> None:
    unsigned = by_scheme(padded)
    assert TensorProto.UINT8 in kinds(unsigned)
    rows = tiny_rows(16)
    before = answers_alone(open_session(unsigned, threads=1), rows)
    after = signed(unsigned)
    assert TensorProto.UINT8 not in kinds(after)
    found = answers_alone(open_session(after, threads=1), rows)
    np.testing.assert_allclose(found, before, atol=1e-5)


def test_zero_points_are_in_the_middle_whatever_the_range() -> None:
    random = np.random.default_rng(0)
    for reach in 10 ** random.uniform(-4, 4, 200):
        seen = ChannelRange(np.array([-0.1 * reach], np.float32), np.array([reach], np.float32))
        found = symmetric_ranges({"x": seen})["x"]
        assert found.high[0] == np.float32(reach)
        span = float(found.high[0]) - float(found.low[0])
        assert round(-float(found.low[0]) / (span / 255)) == 128


def test_fp16_agrees_with_fp32(reference: onnx.ModelProto, padded: onnx.ModelProto) -> None:
    half = in_half(padded)
    assert TensorProto.FLOAT not in kinds(half)
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    rows = tiny_rows(48)
    expected = answers_alone(open_session(reference, threads=1), rows)
    found = answers_alone(open_session(half, threads=1), rows)
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.abs(found - expected).mean() < 0.003


def test_masks_and_guards_stay_within_fp16() -> None:
    constants = {
        "mask": np.array([-3.4e38, 0.0, 1.0], np.float32),
        "guard": np.array([1e-12, -1e-12, 0.0], np.float32),
    }
    nodes = [
        helper.make_node("Add", ["mask", "guard"], ["both"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("Add", ["both", "zeros"], ["out"]),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(np.array([3], dtype=np.int64), "shape"))
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])
    graph = helper.make_graph(nodes, "small", [], [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    half = in_half(model)
    kept = {t.name: numpy_helper.to_array(t) for t in half.graph.initializer}
    assert kept["mask"].tolist() == [-65504.0, 0.0, 1.0]
    assert kept["guard"][0] > 0 > kept["guard"][1]
    assert kept["guard"][2] == 0
    (found,) = open_session(half).run(None, {})
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx([-65504.0, 0.0, 1.0], abs=1e-3)


def test_an_operator_without_fp16_is_told() -> None:
    nodes = [helper.make_node("Range", ["zero", "end", "one"], ["out"], name="steps")]
    values = {"zero": 0.0, "end": 3.0, "one": 1.0}
    constants = [numpy_helper.from_array(np.float32(v), name) for name, v in values.items()]
    output = helper.make_tensor_value_info("out", TensorProto.FLOAT, [3])
    graph = helper.make_graph(nodes, "range", [], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    with pytest.raises(EngineError, match=r"no FP16 form.*Range"):
        in_half(model)


def test_our_int8_graph_obeys_tensorrt_and_the_ones_for_cpus_do_not(
    reference: onnx.ModelProto, padded: onnx.ModelProto, int8: onnx.ModelProto
) -> None:
    check_tensorrt_rules(int8)
    products = [node for node in int8.graph.node if node.op_type == "DequantizeLinear"]
    assert len(products) == 2 * 4 * SHAPE.layers  # a value and a weight for each linear layer
    cpu = quantize(reference, channel_ranges(reference, tiny_rows(20, seed=7)))
    with pytest.raises(PlanError, match=r"node .*qkv\.quantized: its zero point is UINT8"):
        check_tensorrt_rules(keeping_padding(cpu))
    rows = tiny_rows(4)
    layers = find_layers(padded, rows[0])
    ranges = with_shared_ranges(layers, channel_ranges(padded, rows))
    at_run_time = quantize_imported(padded, layers, ranges, words=False, scheme=dynamic)
    with pytest.raises(PlanError, match=r"node encoder.*int8\.quantized: TensorRT has no Dynamic"):
        check_tensorrt_rules(at_run_time)


def changed(model: onnx.ModelProto, name: str, value: object) -> onnx.ModelProto:
    """The model with another constant of that name."""
    result = onnx.ModelProto()
    result.CopyFrom(model)
    (tensor,) = (t for t in result.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(value), name))
    return result


LAYER = "encoder.layer.0.attention.qkv.product.int8"


@pytest.mark.parametrize(
    ("constant", "value", "told"),
    [
        ("zero", np.int8(3), "its zero point is 3, not 0"),
        ("zero", np.uint8(0), "its zero point is UINT8"),
        ("zero", np.int32(0), "its zero point is INT32"),
        ("scale", np.float16(0), "a scale of it is not above zero"),
        ("scale", np.full(64, 0.1, np.float16), "only a weight may have"),
        ("weight_scale", np.full(64, 0.1, np.float16), "has 64 scales on axis 1 of a weight"),
    ],
)
def test_each_rule_is_told_with_its_node(
    int8: onnx.ModelProto, constant: str, value: object, told: str
) -> None:
    faults = list(broken_rules(changed(int8, f"{LAYER}.{constant}", value)))
    # Equal constants are stored once, so that other layers may have that one too.
    assert any(fault.startswith(f"node {LAYER}.") and told in fault for fault in faults)


def test_a_weight_with_scales_for_its_inputs_is_told(int8: onnx.ModelProto) -> None:
    model = changed(int8, f"{LAYER}.weight_scale", np.full(64, 0.1, np.float16))
    model = changed(model, f"{LAYER}.weight_zero", np.zeros(64, np.int8))
    (node,) = (n for n in model.graph.node if n.name == f"{LAYER}.matrix")
    node.attribute[0].i = 0
    (fault,) = broken_rules(model)
    assert fault.startswith(f"node {LAYER}.matrix: its scales are on axis 0, not on that of")


def test_eight_bits_that_are_not_dequantized_are_told(int8: onnx.ModelProto) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(int8)
    for node in model.graph.node:
        if node.name == f"{LAYER}.value":
            node.op_type = "Cast"
            del node.input[1:]
            node.attribute.append(helper.make_attribute("to", TensorProto.FLOAT16))
    faults = list(broken_rules(model))
    assert f"node {LAYER}.quantized: {LAYER}.value takes what it gives, and only" in faults[0]
    assert "its weight is INT8 and the other side is not" in faults[1]

"""Foreign graphs: which layers are found, what they are taken for, how they are rewritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.tokenizer import TextTokenizer
from engines import gate
from engines.calibrate import ChannelRange, channel_ranges
from engines.checkpoint import read_checkpoint
from engines.graph import classifier_graph
from engines.import_measure import ImportedExaminer, Texts
from engines.linear_layers import Layer, find_layers, is_floored, with_shared_ranges
from engines.measure import answers_alone, feed, open_session
from engines.quantize_imported import quantize_imported
from engines.sensitivity import best_engine
from tests.engines.tiny_checkpoints import VOCABULARY, hand_made
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights

WIDTH = 32


def integer_products(model: onnx.ModelProto, folder: Path) -> int:
    """How many products ONNX Runtime multiplies as integers, once it has optimized the graph."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folder / "optimized.onnx").graph.node
    return sum(node.op_type == "MatMulIntegerToFloat" for node in nodes)


def foreign_graph(gate_too: bool = False) -> onnx.ModelProto:
    """Words, layer norm, two products of its value (one without a bias), GELU spelled out, a
    third product with the first's weights, the first token's head; `gate_too` multiplies GELU by
    the other product."""
    random = np.random.default_rng(0)

    def constant(name: str, *shape: int) -> onnx.TensorProto:
        value = random.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
        return numpy_helper.from_array(value, name)

    constants = [
        constant("words", VOCABULARY, WIDTH),
        constant("norm", WIDTH),
        constant("shared", WIDTH, WIDTH),
        constant("other", WIDTH, WIDTH),
        constant("bias", WIDTH),
        constant("head", WIDTH, 3),
        numpy_helper.from_array(np.float32(1), "one"),
        numpy_helper.from_array(np.float32(0.5), "half"),
        numpy_helper.from_array(np.float32(2**-0.5), "root"),
        numpy_helper.from_array(np.int64(0), "first"),
    ]
    nodes = [
        helper.make_node("Gather", ["words", "input_ids"], ["found"]),
        helper.make_node("LayerNormalization", ["found", "norm"], ["normed"], axis=-1),
        helper.make_node("MatMul", ["normed", "shared"], ["a_product"]),
        helper.make_node("MatMul", ["normed", "other"], ["b"]),
        helper.make_node("Add", ["bias", "a_product"], ["a"]),
        helper.make_node("Mul", ["a", "root"], ["a_root"]),
        helper.make_node("Erf", ["a_root"], ["erf"]),
        helper.make_node("Add", ["erf", "one"], ["erf_one"]),
        helper.make_node("Mul", ["a", "erf_one"], ["twice"]),
        helper.make_node("Mul", ["twice", "half"], ["gelu"]),
        helper.make_node("Mul", ["gelu", "b"] if gate_too else ["gelu", "one"], ["wide"]),
        helper.make_node("MatMul", ["wide", "shared"], ["narrow"]),
        helper.make_node("Add", ["narrow", "b"], ["sum"]),
        helper.make_node("Gather", ["sum", "first"], ["pooled"], axis=1),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "foreign",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        constants,
    )
    opset = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def rows(count: int, seed: int) -> list[list[int]]:
    random = np.random.default_rng(seed)
    lengths = random.integers(3, 40, count)
    return [random.integers(1, VOCABULARY, length).tolist() for length in lengths]


def found_in(model: onnx.ModelProto) -> tuple[list[Layer], dict[str, ChannelRange]]:
    layers = find_layers(model, rows(1, seed=3)[0])
    return layers, with_shared_ranges(layers, channel_ranges(model, rows(40, seed=7)))


def test_layers_are_found_by_the_value_they_take_and_the_head_is_left_out() -> None:
    layers, _ = found_in(foreign_graph())
    assert [layer.value for layer in layers] == ["normed", "wide"]
    together, narrow = layers
    assert together.weight_names == ("shared", "other")
    assert together.producer == "layer norm"
    assert together.weight.shape == (WIDTH, 2 * WIDTH)
    assert together.bias is not None
    assert np.all(together.bias[WIDTH:] == 0)
    assert np.any(together.bias[:WIDTH] != 0)
    assert [part.output for part in together.parts] == ["a", "b"]
    assert narrow.bias is None


def test_gelu_is_known_spelled_out_but_not_behind_a_gate() -> None:
    for gate_too in (False, True):
        layers, ranges = found_in(foreign_graph(gate_too))
        narrow = layers[1]
        assert narrow.producer == ("other" if gate_too else "gelu")
        assert is_floored(narrow, ranges[narrow.name]) is not gate_too


def test_what_is_spelled_like_gelu_but_falls_below_it_is_not_taken_for_it() -> None:
    model = foreign_graph()
    for tensor in model.graph.initializer:
        if tensor.name == "half":
            tensor.CopyFrom(numpy_helper.from_array(np.float32(-0.5), "half"))
    layers, ranges = found_in(model)
    assert not is_floored(layers[1], ranges[layers[1].name])


@pytest.mark.parametrize("gate_too", [False, True])
def test_a_foreign_graph_in_int8_answers_nearly_the_same(gate_too: bool, tmp_path: Path) -> None:
    model = foreign_graph(gate_too)
    layers, ranges = found_in(model)
    engine = quantize_imported(model, layers, ranges)
    onnx.checker.check_model(engine, full_check=True)
    assert integer_products(engine, tmp_path) == 2
    kinds = {tensor.name: tensor.data_type for tensor in engine.graph.initializer}
    assert kinds["embeddings.words.table"] == TensorProto.INT8
    assert kinds["head"] == TensorProto.FLOAT
    assert "shared" not in kinds
    assert "words" not in kinds
    expected = answers_alone(open_session(model, threads=1), rows(64, seed=5))
    answered = answers_alone(open_session(engine, threads=1), rows(64, seed=5))
    assert 0 < np.abs(expected - answered).mean() < 0.01
    assert np.abs(expected - answered).max() < 0.08


def test_a_layer_that_is_kept_keeps_its_nodes(tmp_path: Path) -> None:
    model = foreign_graph()
    layers, ranges = found_in(model)
    engine = quantize_imported(model, layers, ranges, kept={layers[0].name})
    assert integer_products(engine, tmp_path) == 1
    names = {node.output[0] for node in engine.graph.node}
    assert {"a_product", "a", "b"} <= names
    everything = {layer.name for layer in layers}
    same = quantize_imported(model, layers, ranges, kept=everything, words=False)
    inputs = feed(*np.ones((2, 2, 9), np.int64))
    np.testing.assert_array_equal(
        open_session(same).run(None, inputs)[0], open_session(model).run(None, inputs)[0]
    )


def test_weights_that_layers_share_are_stored_once() -> None:
    model = foreign_graph()
    # A second layer with the same weights, fed by the same kind of value, as ALBERT has them.
    nodes = {node.output[0]: node for node in model.graph.node}
    del nodes["b"].input[:]
    nodes["b"].input.extend(["normed_again", "shared"])
    again = helper.make_node("LayerNormalization", ["found", "bias"], ["normed_again"], axis=-1)
    model.graph.node.insert(1, again)
    layers, ranges = found_in(model)
    assert [layer.weight_names for layer in layers] == [("shared",)] * 3
    low = {name: seen.low.tobytes() for name, seen in ranges.items()}
    assert len(set(low.values())) == 1
    engine = quantize_imported(model, layers, ranges)
    tables = [t for t in engine.graph.initializer if tuple(t.dims) == (WIDTH, WIDTH)]
    assert [layer.producer for layer in layers] == ["layer norm"] * 3
    assert len(tables) == 1


def test_every_int8_product_of_our_own_graph_is_found(tmp_path: Path) -> None:
    model = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    layers = find_layers(model, tiny_rows(1)[0])
    kinds = [layer.producer for layer in layers]
    assert kinds == ["layer norm", "attention", "layer norm", "gelu"] * SHAPE.layers
    ranges = with_shared_ranges(layers, channel_ranges(model, tiny_rows(40, seed=7)))
    assert integer_products(quantize_imported(model, layers, ranges), tmp_path) == len(layers)


def test_the_worst_layers_are_kept_until_the_gate_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = read_checkpoint(hand_made(tmp_path))
    tokenizer = TextTokenizer(tmp_path / "tokenizer.json")
    model = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    layers = find_layers(model, tiny_rows(1)[0])
    ranges = with_shared_ranges(layers, channel_ranges(model, tiny_rows(40, seed=7)))
    texts = Texts([], [f"the good film {'bad ' * n}." for n in range(1, 30)], [])
    examiner = ImportedExaminer(checkpoint, tokenizer, open_session(model), texts)
    told: list[str] = []
    plain = best_engine(model, layers, ranges, examiner, told.append)
    assert plain.kept == ()
    change = plain.findings.drift.mean_change

    monkeypatch.setattr(gate, "LARGEST_MEAN_CHANGE", 0.8 * change)
    helped = best_engine(model, layers, ranges, examiner, told.append)
    assert helped.findings.verdict.passed
    assert 1 <= len(helped.kept) <= len(layers) // 2
    assert helped.findings.drift.mean_change <= 0.8 * change

    monkeypatch.setattr(gate, "LARGEST_MEAN_CHANGE", 0.0)
    hopeless = best_engine(model, layers, ranges, examiner, told.append)
    assert not hopeless.findings.verdict.passed
    assert len(hopeless.kept) == len(layers) // 2

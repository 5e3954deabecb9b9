"""Operators of ONNX Runtime's own in a graph that another exporter spelled out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from core.onnx_file import check_graph_bytes
from core.tokenizer import pad
from engines.attention_operator import LENGTHS
from engines.gpu_graph import attention_left, attention_nodes, fused, gpu_graph, spelled_out
from engines.measure import Floats, feed, open_session
from tests.engines.exported_layer import (
    LONGEST,
    MILD,
    OF_TOKENS,
    VOCABULARY,
    WINDOW,
    exported_layer,
)

SAME = 1e-5


def rows(count: int = 12) -> list[list[int]]:
    random = np.random.default_rng(5)
    return [random.integers(1, VOCABULARY, n).tolist() for n in random.integers(1, LONGEST, count)]


def answers(model: onnx.ModelProto, texts: list[list[int]], length: int | None = None) -> Floats:
    found: Floats = open_session(model, threads=1).run(None, feed(*pad(texts, length)))[0]
    return found


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node if node.domain)


def assert_same(model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """In one batch of mixed length, each alone, and each in more padding."""
    texts = rows()
    expected = answers(model, texts)
    assert expected.std(axis=0).min() > 0.01, "all texts get the same answer: this proves nothing"
    np.testing.assert_allclose(answers(other, texts), expected, atol=SAME)
    for index, text in enumerate(texts):
        for length in (len(text), LONGEST):
            found = answers(other, [text], length)[0]
            np.testing.assert_allclose(found, expected[index], atol=SAME)


def test_attention_layer_norm_and_gelu_are_one_operator_each() -> None:
    model = exported_layer()
    found = fused(model, LONGEST)
    assert operators(found) == {"Attention": 1, "SkipLayerNormalization": 1, "BiasGelu": 1}
    assert (attention_left(model), attention_left(found), spelled_out(found)) == (1, 0, [])
    assert_same(model, found)
    check_graph_bytes(found.SerializeToString())
    used = {name for node in found.graph.node for name in node.input}
    assert {tensor.name for tensor in found.graph.initializer} <= used
    assert "mask" not in used, "what the lengths say is not made twice"


def test_padding_is_seen_by_the_lengths_alone() -> None:
    """Else the tests above would pass with a graph that looks at padding too."""
    found = fused(exported_layer(), LONGEST)
    (cast,) = [node for node in found.graph.node if node.op_type == "Cast"]
    assert (list(cast.input), LENGTHS) == (["attention_mask"], "lengths")
    texts = rows()
    ids, mask = pad(texts)
    session = open_session(found, threads=1)
    (blind,) = session.run(None, feed(ids, np.ones_like(mask)))
    assert np.abs(blind - answers(found, texts)).max() > 0.01


def test_in_half_precision_it_answers_nearly_the_same() -> None:
    model = exported_layer()
    half = gpu_graph(model, LONGEST)
    assert attention_nodes(half) == 1
    onnx.checker.check_model(half, full_check=True)
    kinds = {tensor.data_type for tensor in half.graph.initializer}
    assert onnx.TensorProto.FLOAT not in kinds
    np.testing.assert_allclose(answers(half, rows()), answers(model, rows()), atol=0.05)


@pytest.mark.parametrize("mask", [WINDOW, OF_TOKENS, MILD], ids=["window", "of tokens", "mild"])
def test_attention_under_another_mask_is_left(mask: str) -> None:
    model = exported_layer(mask)
    found = fused(model, LONGEST)
    assert operators(found) == {"SkipLayerNormalization": 1, "BiasGelu": 1}
    (said,) = spelled_out(found)
    assert said.startswith("on a GPU, 1 of 1 layers run their attention as it was exported")
    np.testing.assert_allclose(answers(found, rows()), answers(model, rows()), atol=SAME)


def test_a_window_that_no_text_reaches_is_padding_alone() -> None:
    model = exported_layer(WINDOW)
    assert attention_nodes(fused(model, 21)) == 1
    assert attention_nodes(fused(model, 22)) == 0


@pytest.mark.parametrize(
    "changes",
    [
        [("Softmax<axis = -1>", "Softmax<axis = 2>")],
        [("k_product =", "other = Relu(x)\n  k_product ="), ("MatMul(x, k_w", "MatMul(other, k_w")],
        [("Div(products, root)", "Relu(products)")],
        [("Add(scaled, mask)", "Mul(scaled, one)")],
        [
            ("scaled =", "twice = Add(products, products)\n  scaled ="),
            ("Div(products", "Div(twice"),
        ],
    ],
    ids=["softmax", "key of another value", "scores", "no mask", "scaled after an addition"],
)
def test_what_is_put_together_otherwise_is_left(changes: list[tuple[str, str]]) -> None:
    model = exported_layer(changes=changes)
    found = fused(model, LONGEST)
    assert attention_nodes(found) == 0
    np.testing.assert_allclose(answers(found, rows()), answers(model, rows()), atol=SAME)


def test_gelu_by_tanh_is_not_taken_for_gelu() -> None:
    model = exported_layer(changes=[('"none"', '"tanh"')])
    found = fused(model, LONGEST)
    assert operators(found) == {"Attention": 1, "SkipLayerNormalization": 1}
    assert_same(model, found)


def test_a_sum_that_is_asked_for_again_is_given_beside_its_norm() -> None:
    model = exported_layer(changes=[("Add(active, normed)", "Add(active, sum)")])
    found = fused(model, LONGEST)
    (norm,) = [node for node in found.graph.node if node.op_type == "SkipLayerNormalization"]
    assert list(norm.output) == ["normed", "", "", "sum"]
    assert_same(model, found)


def test_an_addition_that_widens_a_value_stays_before_its_norm() -> None:
    """As of positions, which are the same for every row."""
    row = "row = ReduceMean<keepdims = 1>(x, first_axis)\n  sum = Add(o, row)"
    model = exported_layer(changes=[("sum = Add(o, x)", row)])
    found = fused(model, LONGEST)
    assert operators(found) == {"Attention": 1, "BiasGelu": 1}
    np.testing.assert_allclose(answers(found, rows()), answers(model, rows()), atol=SAME)

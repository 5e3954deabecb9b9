from __future__ import annotations

import numpy as np
import onnx
import pytest

from core.tokenizer import pad
from engines.errors import BaseModelError
from engines.graph import classifier_graph, embedding_graph
from engines.measure import feed, open_session
from engines.tensor_names import INPUT_NAMES
from tests.engines.tiny_encoder import (
    LABELS,
    SHAPE,
    pooled_by_hand,
    tiny_head,
    tiny_rows,
    tiny_weights,
)


def test_logits_are_those_worked_out_by_hand_for_texts_of_mixed_length() -> None:
    weights, (head_weight, head_bias) = tiny_weights(), tiny_head()
    rows = tiny_rows(5)
    session = open_session(classifier_graph(weights, SHAPE, head_weight, head_bias), threads=1)
    (logits,) = session.run(["logits"], feed(*pad(rows)))
    expected = np.array([head_weight @ pooled_by_hand(weights, r) + head_bias for r in rows])
    assert logits.shape == (5, LABELS)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_embedding_is_the_pooled_vector_at_length_one() -> None:
    weights = tiny_weights()
    rows = tiny_rows(4)
    session = open_session(embedding_graph(weights, SHAPE), threads=1)
    (embedding,) = session.run(["embedding"], feed(*pad(rows)))
    pooled = np.array([pooled_by_hand(weights, row) for row in rows])
    expected = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_padding_goes_through_no_linear_layer() -> None:
    model = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    layers = [node.output[0] for node in model.graph.node if node.op_type == "Gelu"]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in layers
    )
    rows = tiny_rows(5)
    found = open_session(model, threads=1).run(layers, feed(*pad(rows, 96)))
    assert {values.shape[:2] for values in found} == {(1, sum(map(len, rows)))}


def test_tokens_keep_their_places_where_a_mask_has_holes() -> None:
    session = open_session(embedding_graph(tiny_weights(), SHAPE), threads=1)
    ids, mask = pad(tiny_rows(1))
    mask[0, 1] = 0
    others = ids.copy()
    others[0, 1] += 1  # never seen
    answers = [session.run(None, feed(each, mask))[0] for each in (ids, others)]
    np.testing.assert_array_equal(*answers)
    moved = np.delete(ids, 1, axis=1)  # the same tokens, one place earlier
    closed = session.run(None, feed(moved, np.delete(mask, 1, axis=1)))[0]
    assert np.abs(closed - answers[0]).max() > 1e-4


def test_the_graph_says_that_it_skips_padding() -> None:
    model = embedding_graph(tiny_weights(), SHAPE)
    assert {entry.key: entry.value for entry in model.metadata_props} == {"padding": "skipped"}


def test_token_types_count() -> None:
    session = open_session(embedding_graph(tiny_weights(), SHAPE), threads=1)
    inputs = feed(*pad(tiny_rows(1)))
    first = session.run(None, inputs)[0]
    inputs["token_type_ids"] = np.ones_like(inputs["token_type_ids"])
    assert np.abs(session.run(None, inputs)[0] - first).max() > 1e-3


def test_a_row_of_padding_only_gives_finite_numbers() -> None:
    session = open_session(embedding_graph(tiny_weights(), SHAPE), threads=1)
    ids = np.zeros((2, 16), dtype=np.int64)
    mask = np.array([[1] * 16, [0] * 16], dtype=np.int64)
    assert np.isfinite(session.run(None, feed(ids, mask))[0]).all()


def test_the_graph_is_valid_and_uses_standard_operators_only() -> None:
    model = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert tuple(value.name for value in model.graph.input) == INPUT_NAMES


def test_making_a_graph_leaves_the_weights_alone() -> None:
    weights = tiny_weights()
    embedding_graph(weights, SHAPE)
    for name, value in tiny_weights().items():
        np.testing.assert_array_equal(weights[name], value)


def test_a_missing_weight_is_named() -> None:
    weights = tiny_weights()
    del weights["encoder.layer.1.output.dense.weight"]
    with pytest.raises(BaseModelError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        embedding_graph(weights, SHAPE)

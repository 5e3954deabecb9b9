"""One encoder layer and a head as PyTorch's exporter spells them out, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

WIDTH, HEADS, VOCABULARY, LONGEST = 8, 2, 16, 64
PADDING = """
  wide = Unsqueeze(attention_mask, rows)
  real = Cast<to=1>(wide)
  absent = Sub(one, real)
  mask = Mul(absent, low)
"""
# What else a graph may add to its scores.
WINDOW = """
  wide = Unsqueeze(attention_mask, rows)
  there = Cast<to=9>(wide)
  count = Shape<start=1, end=2>(input_ids)
  last = Squeeze(count)
  places = Range(first, last, step)
  queries = Unsqueeze(places, second)
  apart = Sub(queries, places)
  far = Abs(apart)
  near = LessOrEqual(far, reach)
  seen = And(there, near)
  mask = Where(seen, zero, low)
"""
OF_TOKENS = """
  is_other = Equal(input_ids, five)
  is_five = Cast<to=7>(is_other)
  shut = Sub(attention_mask, is_five)
""" + PADDING.replace("attention_mask", "shut")
MILD = PADDING.replace("low", "mild")
LAYER = """
<ir_version: 9, opset_import: ["" : 20]>
exported (
  int64[batch, tokens] input_ids, int64[batch, tokens] attention_mask,
  int64[batch, tokens] token_type_ids
) => (float[batch, 3] logits) {
  x = Gather(words, input_ids)
  MASK
  q_product = MatMul(x, q_weight)
  q = Add(q_product, q_bias)
  k_product = MatMul(x, k_weight)
  k = Add(k_product, k_bias)
  v_product = MatMul(x, v_weight)
  v = Add(v_bias, v_product)
  q_heads = Reshape(q, parted)
  k_heads = Reshape(k, parted)
  v_heads = Reshape(v, parted)
  q_turned = Transpose<perm = [0, 2, 1, 3]>(q_heads)
  k_turned = Transpose<perm = [0, 2, 3, 1]>(k_heads)
  v_turned = Transpose<perm = [0, 2, 1, 3]>(v_heads)
  products = MatMul(q_turned, k_turned)
  scaled = Div(products, root)
  scores = Add(scaled, mask)
  shares = Softmax<axis = -1>(scores)
  weighted = MatMul(shares, v_turned)
  turned = Transpose<perm = [0, 2, 1, 3]>(weighted)
  context = Reshape(turned, joined)
  o_product = MatMul(context, o_weight)
  o = Add(o_product, o_bias)
  sum = Add(o, x)
  normed = LayerNormalization<axis = -1, epsilon = 1.0e-5>(sum, n_weight, n_bias)
  i_product = MatMul(normed, i_weight)
  i = Add(i_product, i_bias)
  active = Gelu<approximate = "none">(i)
  f = Add(active, normed)
  pooled = Gather<axis = 1>(f, first)
  logits = MatMul(pooled, head)
}
"""


def exported_layer(mask: str = PADDING, changes: Sequence[tuple[str, str]] = ()) -> onnx.ModelProto:
    """The layer; `mask` are nodes that make the value of that name, and in each pair of `changes`
    the second text takes the first one's place."""
    text = LAYER.replace("MASK", mask)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    model: onnx.ModelProto = onnx.parser.parse_model(text)
    random = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(0, 0.7, shape).astype(np.float32)

    constants = {
        "words": normal(VOCABULARY, WIDTH),
        **{f"{name}_weight": normal(WIDTH, WIDTH) for name in "qkvoi"},
        **{f"{name}_bias": normal(WIDTH) for name in "qkvoin"},
        "n_weight": normal(WIDTH),
        "head": normal(WIDTH, 3),
        "root": np.float32(2),
        "one": np.float32(1),
        "zero": np.float32(0),
        "low": np.finfo(np.float32).min,
        "mild": np.float32(-5),
        "rows": np.array([1, 2]),
        "second": np.array([1]),
        "first": np.array(0),
        "first_axis": np.array([0]),
        "five": np.array(5),
        "step": np.array(1),
        "reach": np.array(20),
        "parted": np.array([0, 0, HEADS, WIDTH // HEADS]),
        "joined": np.array([0, 0, WIDTH]),
    }
    used = {name for node in model.graph.node for name in node.input}
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(array), name)
        for name, array in constants.items()
        if name in used
    )
    onnx.checker.check_model(model, full_check=True)
    return model

"""A BERT-family encoder and its head as an ONNX graph, out of NumPy weights, without PyTorch.

The graph uses standard ONNX operators only, so that ONNX Runtime, OpenVINO and TensorRT read it.
Query, key and value are one matrix product; the attention scale 1/sqrt(head width) stands in the
query's weights. Architecture: Devlin et al. 2018 (arXiv:1810.04805); pooling: mean over the
unmasked tokens, as in Sentence-BERT (Reimers and Gurevych 2019, arXiv:1908.10084).

Padding is dropped at the entrance: but for attention and pooling, everything runs on one line of
the batch's real tokens, (1, tokens of all texts, hidden), so that texts of mixed length share a
batch at next to no cost (Effective Transformer, ByteDance 2020,
https://github.com/bytedance/effective_transformer). The leading 1 keeps ONNX Runtime from fusing
products and biases into Gemm, for which it has no INT8 kernel with these scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from engines.errors import BaseModelError
from engines.graph_builder import GraphBuilder, Weights
from engines.tensor_names import INPUT_NAMES

OPSET = 20
IR_VERSION = 9
# Added to the attention scores of padding: far below any real score, and finite, so that no
# runtime ever sees infinity minus infinity.
MASKED_SCORE = -1e4


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of a BERT encoder that its weights do not tell."""

    heads: int
    layers: int
    layer_norm_epsilon: float = 1e-12


def classifier_graph(
    weights: Weights,
    shape: EncoderShape,
    head_weight: NDArray[np.float32],
    head_bias: NDArray[np.float32],
) -> onnx.ModelProto:
    """An encoder with a linear head; output `logits`, FP32 [batch, labels].

    Args:
        weights: FP32 arrays by their names in a Hugging Face BERT checkpoint.
        shape: heads, layers and the epsilon of the layer norms.
        head_weight: (labels, hidden). head_bias: (labels,).

    Raises:
        BaseModelError: a weight is missing or does not fit.
    """
    builder = GraphBuilder()
    pooled = _pooled_encoder(builder, weights, shape)
    builder.linear(pooled, head_weight, head_bias, "logits")
    return _model(builder, "logits", head_weight.shape[0])


def embedding_graph(weights: Weights, shape: EncoderShape) -> onnx.ModelProto:
    """An encoder whose pooled vector has length one; output `embedding`, FP32 [batch, hidden].

    Raises:
        BaseModelError: a weight is missing or does not fit.
    """
    builder = GraphBuilder()
    pooled = _pooled_encoder(builder, weights, shape)
    length = builder.node(
        "ReduceL2", [pooled, builder.integers(-1)], "embedding.length", keepdims=1
    )
    smallest = builder.constant("embedding.smallest", np.array(1e-12, dtype=np.float32))
    divisor = builder.node("Max", [length, smallest], "embedding.divisor")
    builder.node("Div", [pooled, divisor], "embedding")
    return _model(builder, "embedding", weights["embeddings.word_embeddings.weight"].shape[1])


def _pooled_encoder(builder: GraphBuilder, weights: Weights, shape: EncoderShape) -> str:
    try:
        layout = _layout(builder)
        hidden = _embeddings(builder, weights, shape, layout)
        for layer in range(shape.layers):
            hidden = _layer(builder, weights, shape, f"encoder.layer.{layer}", hidden, layout)
    except KeyError as error:
        raise BaseModelError(
            f"the encoder's weights lack {error}; they are not those of a BERT encoder with "
            f"{shape.layers} layers"
        ) from error
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    padded = _padded(builder, hidden, layout, (width,), "pool")
    total = builder.node(
        "ReduceSum",
        [builder.node("Mul", [padded, layout.pooling_mask], "pool.masked"), builder.integers(1)],
        "pool.sum",
        keepdims=0,
    )
    count = builder.node(
        "ReduceSum", [layout.pooling_mask, builder.integers(1)], "pool.count", keepdims=0
    )
    one = builder.constant("pool.one", np.array(1.0, dtype=np.float32))
    return builder.node("Div", [total, builder.node("Max", [count, one], "pool.divisor")], "pool")


@dataclass(frozen=True)
class Layout:
    """Where the real tokens of a padded batch stand; names of values of the graph.

    `kept`: int64 (real tokens,), the place of each in the flattened batch. `slots`: int64
    (batch * tokens,), the real token at each place, for padding any. `padded_shape`: int64 (2,),
    batch and tokens. `scores_mask`: FP32 (batch, 1, 1, tokens), added to attention scores.
    `pooling_mask`: FP32 (batch, tokens, 1), 1 for real tokens.
    """

    kept: str
    slots: str
    padded_shape: str
    scores_mask: str
    pooling_mask: str


def _layout(builder: GraphBuilder) -> Layout:
    flat = builder.node("Reshape", ["attention_mask", builder.integers(-1)], "mask.flat")
    found = builder.node("NonZero", [flat], "layout.found")
    kept = builder.node("Squeeze", [found, builder.integers(0)], "layout.kept")
    counted = builder.node("CumSum", [flat, builder.index(0)], "layout.counted")
    before = builder.node("Sub", [counted, builder.index(1)], "layout.before")
    slots = builder.node("Max", [before, builder.index(0)], "layout.slots")
    shape = builder.node("Shape", ["attention_mask"], "layout.shape")
    return Layout(kept, slots, shape, *_masks(builder))


def _padded(
    builder: GraphBuilder, value: str, layout: Layout, widths: tuple[int, ...], name: str
) -> str:
    """`value`, FP32 (1, real tokens, width), as (batch, tokens, *widths)."""
    spread = builder.node("Gather", [value, layout.slots], f"{name}.spread", axis=1)
    shape = builder.node(
        "Concat", [layout.padded_shape, builder.integers(*widths)], f"{name}.shape", axis=0
    )
    return builder.node("Reshape", [spread, shape], f"{name}.padded")


def _embeddings(
    builder: GraphBuilder, weights: Weights, shape: EncoderShape, layout: Layout
) -> str:
    def table(name: str) -> str:
        key = f"embeddings.{name}.weight"
        return builder.constant(key, weights[key])

    def kept(name: str) -> str:
        flat = builder.node("Reshape", [name, builder.integers(1, -1)], f"{name}.flat")
        return builder.node("Gather", [flat, layout.kept], f"{name}.kept", axis=1)

    words = builder.node(
        "Gather", [table("word_embeddings"), kept("input_ids")], "embeddings.words"
    )
    types = builder.node(
        "Gather", [table("token_type_embeddings"), kept("token_type_ids")], "embeddings.types"
    )
    tokens = builder.node("Gather", [layout.padded_shape, builder.index(1)], "layout.tokens")
    places = builder.node("Mod", [layout.kept, tokens], "layout.positions")
    positions = builder.node(
        "Gather", [table("position_embeddings"), places], "embeddings.positions"
    )
    added = builder.node("Add", [words, types], "embeddings.words_types")
    added = builder.node("Add", [added, positions], "embeddings.sum")
    return builder.layer_norm(added, weights, "embeddings.LayerNorm", shape.layer_norm_epsilon)


def _masks(builder: GraphBuilder) -> tuple[str, str]:
    """The mask added to attention scores, [batch, 1, 1, tokens], and the one that pools,
    [batch, tokens, 1], both FP32."""
    mask = builder.node("Cast", ["attention_mask"], "mask", to=TensorProto.FLOAT)
    one = builder.constant("mask.one", np.array(1.0, dtype=np.float32))
    masked_score = builder.constant("mask.score", np.array(MASKED_SCORE, dtype=np.float32))
    padding = builder.node("Sub", [one, mask], "mask.padding")
    scores = builder.node("Mul", [padding, masked_score], "mask.scores_flat")
    scores = builder.node("Unsqueeze", [scores, builder.integers(1, 2)], "mask.scores")
    return scores, builder.node("Unsqueeze", [mask, builder.integers(2)], "mask.pooling")


def _layer(
    builder: GraphBuilder,
    weights: Weights,
    shape: EncoderShape,
    name: str,
    hidden: str,
    layout: Layout,
) -> str:
    def linear(value: str, part: str) -> str:
        key = f"{name}.{part}"
        return builder.linear(value, weights[f"{key}.weight"], weights[f"{key}.bias"], key)

    context = _attention(builder, weights, shape, f"{name}.attention", hidden, layout)
    attended = linear(context, "attention.output.dense")
    residual = builder.node("Add", [attended, hidden], f"{name}.attention.residual")
    epsilon = shape.layer_norm_epsilon
    attended = builder.layer_norm(residual, weights, f"{name}.attention.output.LayerNorm", epsilon)
    wide = linear(attended, "intermediate.dense")
    wide = builder.node("Gelu", [wide], f"{name}.intermediate.gelu")
    narrow = linear(wide, "output.dense")
    residual = builder.node("Add", [narrow, attended], f"{name}.output.residual")
    return builder.layer_norm(residual, weights, f"{name}.output.LayerNorm", epsilon)


def _attention(
    builder: GraphBuilder,
    weights: Weights,
    shape: EncoderShape,
    name: str,
    hidden: str,
    layout: Layout,
) -> str:
    parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
    width = weights[f"{parts[0]}.weight"].shape[0]
    scale = np.float32((width / shape.heads) ** -0.5)
    weight = np.concatenate([weights[f"{part}.weight"] for part in parts])
    bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
    weight[:width] *= scale
    bias[:width] *= scale
    joined = builder.linear(hidden, weight, bias, f"{name}.qkv")
    # (batch, tokens, 3, heads, head width) -> (3, batch, heads, tokens, head width)
    split = (3, shape.heads, width // shape.heads)
    joined = _padded(builder, joined, layout, split, f"{name}.heads")
    joined = builder.node("Transpose", [joined], f"{name}.heads_first", perm=[2, 0, 3, 1, 4])
    parts = [f"{name}.{part}" for part in ("query", "key", "value")]
    stacked = [f"{part}.stacked" for part in parts]
    builder.nodes.append(
        helper.make_node("Split", [joined], stacked, name=f"{name}.split", axis=0, num_outputs=3)
    )
    query, key, value = (
        builder.node("Squeeze", [source, builder.integers(0)], part)
        for source, part in zip(stacked, parts, strict=True)
    )
    key = builder.node("Transpose", [key], f"{name}.key_turned", perm=[0, 1, 3, 2])
    scores = builder.node("MatMul", [query, key], f"{name}.scores")
    scores = builder.node("Add", [scores, layout.scores_mask], f"{name}.scores_masked")
    shares = builder.node("Softmax", [scores], f"{name}.shares", axis=-1)
    context = builder.node("MatMul", [shares, value], f"{name}.context_heads")
    context = builder.node("Transpose", [context], f"{name}.context_turned", perm=[0, 2, 1, 3])
    context = builder.node(
        "Reshape", [context, builder.integers(1, -1, width)], f"{name}.context_flat"
    )
    return builder.node("Gather", [context, layout.kept], f"{name}.context", axis=1)


def _model(builder: GraphBuilder, output: str, width: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in INPUT_NAMES
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])]
    graph = helper.make_graph(
        builder.nodes, "encoder", inputs, outputs, list(builder.initializers.values())
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sub50",
    )
    # For the backend, which then puts texts of mixed length into one run.
    helper.set_model_props(model, {"padding": "skipped"})
    return model

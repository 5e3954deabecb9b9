"""A BERT-family encoder and its head as an ONNX graph, out of NumPy weights, without PyTorch.

The graph uses standard ONNX operators only, so that ONNX Runtime, OpenVINO and TensorRT read it.
Query, key and value are one matrix product; the attention scale 1/sqrt(head width) stands in the
query's weights. Architecture: Devlin et al. 2018 (arXiv:1810.04805); pooling: mean over the
unmasked tokens, as in Sentence-BERT (Reimers and Gurevych 2019, arXiv:1908.10084).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.errors import BaseModelError

OPSET = 20
IR_VERSION = 9
INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
# Added to the attention scores of padding: far below any real score, and finite, so that no
# runtime ever sees infinity minus infinity.
MASKED_SCORE = -1e4

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EncoderShape:
    """The sizes of a BERT encoder that its weights do not tell."""

    heads: int
    layers: int
    layer_norm_epsilon: float = 1e-12


class GraphBuilder:
    """Collects nodes and initializers; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Keep `value` as the initializer `name`, once."""
        if name not in self.initializers:
            tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
            self.initializers[name] = tensor
        return name

    def integers(self, *values: int) -> str:
        """A constant list of int64."""
        name = "int64." + ".".join(map(str, values))
        return self.constant(name, np.array(values, dtype=np.int64))

    def index(self, value: int) -> str:
        """A constant scalar of int64."""
        return self.constant(f"index.{value}", np.array(value, dtype=np.int64))

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node with one output and return the output's name."""
        self.nodes.append(
            helper.make_node(operator, list(inputs), [output], name=output, **attributes)
        )
        return output

    def linear(
        self, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32], name: str
    ) -> str:
        """`value @ weight.T + bias`; `weight` has the shape (out, in) of a linear layer."""
        product = self.node(
            "MatMul", [value, self.constant(f"{name}.weight", weight.T)], f"{name}.product"
        )
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)], name)

    def layer_norm(self, value: str, weights: Weights, source: str, epsilon: float) -> str:
        """Layer normalization over the last axis with the scale and bias found at `source`."""
        scale = self.constant(f"{source}.weight", weights[f"{source}.weight"])
        bias = self.constant(f"{source}.bias", weights[f"{source}.bias"])
        return self.node(
            "LayerNormalization", [value, scale, bias], source, axis=-1, epsilon=epsilon
        )


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
        hidden = _embeddings(builder, weights, shape)
        scores_mask, pooling_mask = _masks(builder)
        for layer in range(shape.layers):
            hidden = _layer(builder, weights, shape, f"encoder.layer.{layer}", hidden, scores_mask)
    except KeyError as error:
        raise BaseModelError(
            f"the encoder's weights lack {error}; they are not those of a BERT encoder with "
            f"{shape.layers} layers"
        ) from error
    total = builder.node(
        "ReduceSum",
        [builder.node("Mul", [hidden, pooling_mask], "pool.masked"), builder.integers(1)],
        "pool.sum",
        keepdims=0,
    )
    count = builder.node("ReduceSum", [pooling_mask, builder.integers(1)], "pool.count", keepdims=0)
    one = builder.constant("pool.one", np.array(1.0, dtype=np.float32))
    return builder.node("Div", [total, builder.node("Max", [count, one], "pool.divisor")], "pool")


def _embeddings(builder: GraphBuilder, weights: Weights, shape: EncoderShape) -> str:
    def table(name: str) -> str:
        key = f"embeddings.{name}.weight"
        return builder.constant(key, weights[key])

    words = builder.node("Gather", [table("word_embeddings"), "input_ids"], "embeddings.words")
    types = builder.node(
        "Gather", [table("token_type_embeddings"), "token_type_ids"], "embeddings.types"
    )
    tokens = builder.node("Shape", ["input_ids"], "embeddings.tokens", start=1, end=2)
    positions = builder.node(
        "Slice",
        [table("position_embeddings"), builder.integers(0), tokens, builder.integers(0)],
        "embeddings.positions",
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
    scores_mask: str,
) -> str:
    def linear(value: str, part: str) -> str:
        key = f"{name}.{part}"
        return builder.linear(value, weights[f"{key}.weight"], weights[f"{key}.bias"], key)

    context = _attention(builder, weights, shape, f"{name}.attention", hidden, scores_mask)
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
    scores_mask: str,
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
    split = builder.integers(0, 0, 3, shape.heads, width // shape.heads)
    joined = builder.node("Reshape", [joined, split], f"{name}.heads")
    joined = builder.node("Transpose", [joined], f"{name}.heads_first", perm=[2, 0, 3, 1, 4])
    query, key, value = (
        builder.node("Gather", [joined, builder.index(i)], f"{name}.{part}", axis=0)
        for i, part in enumerate(("query", "key", "value"))
    )
    key = builder.node("Transpose", [key], f"{name}.key_turned", perm=[0, 1, 3, 2])
    scores = builder.node("MatMul", [query, key], f"{name}.scores")
    scores = builder.node("Add", [scores, scores_mask], f"{name}.scores_masked")
    shares = builder.node("Softmax", [scores], f"{name}.shares", axis=-1)
    context = builder.node("MatMul", [shares, value], f"{name}.context_heads")
    context = builder.node("Transpose", [context], f"{name}.context_turned", perm=[0, 2, 1, 3])
    return builder.node("Reshape", [context, builder.integers(0, 0, width)], f"{name}.context")


def _model(builder: GraphBuilder, output: str, width: int) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in INPUT_NAMES
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", width])]
    graph = helper.make_graph(
        builder.nodes, "encoder", inputs, outputs, list(builder.initializers.values())
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="sub50",
    )

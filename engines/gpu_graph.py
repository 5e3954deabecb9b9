"""The graph that ONNX Runtime runs on a GPU: FP16, padding run, attention as one operator.

Attention is an operator of ONNX Runtime's own, query, key and value within, for which its CUDA
provider has fused kernels. They take the number of tokens of each row rather than a mask, so that
padding has to stand at the end. Inputs, output and their names are those of every engine.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

from engines.attention_operator import (
    CONTRIBUTED,
    OPERATOR,
    attention_node,
    lengths,
    lengths_axis,
    rewritten,
)
from engines.fused_attention import with_fused_attention
from engines.fused_layers import with_fused_layers
from engines.half_precision import in_half
from engines.padded_graph import keeping_padding, skips_padding

# Read by what runs the engine, see core/sub50_cuda.py.
MAX_TOKENS = "max_tokens"
QKV, SPLIT, CONTEXT = ".qkv", ".heads.padded", ".context_flat"


def gpu_graph(reference: onnx.ModelProto, max_tokens: int) -> onnx.ModelProto:
    """The graph for a GPU of an unquantized one, whose engine takes texts of up to `max_tokens`.

    In a graph that engines/graph.py wrote, the attention of each layer is known by its name. In
    others it is known by what it is made of, and left as exported where it is not.

    Raises:
        EngineError: it has no FP16 form, or its layout is not known.
    """
    if skips_padding(reference):
        model = with_attention(in_half(keeping_padding(reference)))
    else:
        model = in_half(fused(reference, max_tokens))
    helper.set_model_props(model, {MAX_TOKENS: str(max_tokens)})
    return model


def fused(exported: onnx.ModelProto, max_tokens: int) -> onnx.ModelProto:
    """An exported graph, in FP32, with what ONNX Runtime has one operator for as that one."""
    return with_fused_layers(with_fused_attention(exported, max_tokens))


def attention_nodes(model: onnx.ModelProto) -> int:
    """How many layers have their attention as one operator."""
    nodes = model.graph.node
    return sum(node.op_type == OPERATOR and node.domain == CONTRIBUTED for node in nodes)


def attention_left(model: onnx.ModelProto) -> int:
    """How many layers have their attention spelled out, in several operators."""
    return sum(node.op_type == "Softmax" for node in model.graph.node)


def spelled_out(model: onnx.ModelProto) -> list[str]:
    """A line on the layers that have their attention spelled out, if there are any."""
    left = attention_left(model)
    if not left:
        return []
    return [
        f"on a GPU, {left} of {left + attention_nodes(model)} layers run their attention as it was "
        "exported, operator by operator: it is of no kind that has one operator (docs/cuda.md)"
    ]


def with_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of ours that keeps padding, with each layer's attention as one operator."""
    made_by = {node.output[0]: node for node in model.graph.node}
    constants = {tensor.name: tensor for tensor in [*model.graph.initializer, lengths_axis()]}
    replaced = {
        output.removesuffix(QKV) + CONTEXT: _attention(output, made_by, constants)
        for output in made_by
        if output.endswith(QKV)
    }
    nodes = [replaced.get(node.output[0], node) for node in model.graph.node]
    return rewritten(model, [*lengths(), *nodes], constants)


def _attention(
    joined: str, made_by: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> onnx.NodeProto:
    """Attention of one layer, (batch, tokens, width), of what its linear layer `joined` takes."""
    name = joined.removesuffix(QKV)
    product, bias = made_by[f"{joined}.product"], made_by[joined].input[1]
    # (batch, tokens, 3, heads, head width)
    sizes = numpy_helper.to_array(constants[made_by[f"{name}{SPLIT}"].input[1]])
    # The scale stands in the query's weights.
    return attention_node(
        f"{name}{CONTEXT}", [*product.input, bias], heads=int(sizes[3]), scale=1.0
    )

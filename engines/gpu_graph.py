"""The graph that ONNX Runtime runs on a GPU: FP16, padding run, attention as one operator.

Attention is an operator of ONNX Runtime's own, query, key and value within, for which its CUDA
provider has fused kernels. They take the number of tokens of each row rather than a mask, so that
padding has to stand at the end. Inputs, output and their names are those of every engine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.half_precision import in_half
from engines.padded_graph import keeping_padding, skips_padding

CONTRIBUTED = "com.microsoft"
# Read by what runs the engine, see core/sub50_cuda.py.
MAX_TOKENS = "max_tokens"
QKV, SPLIT, CONTEXT = ".qkv", ".heads.padded", ".context_flat"
AXIS, TOKENS, LENGTHS = "lengths.axis", "lengths.mask", "lengths"


def gpu_graph(reference: onnx.ModelProto, max_tokens: int) -> onnx.ModelProto:
    """The graph for a GPU of an unquantized one, whose engine takes texts of up to `max_tokens`.

    In a graph that engines/graph.py wrote, the attention of each layer is known by its name. Others
    keep theirs: ONNX Runtime's fusions for BERT know none that is exported here.

    Raises:
        EngineError: it has no FP16 form, or its layout is not known.
    """
    half = in_half(keeping_padding(reference))
    model = with_attention(half) if skips_padding(reference) else half
    helper.set_model_props(model, {MAX_TOKENS: str(max_tokens)})
    return model


def attention_nodes(model: onnx.ModelProto) -> int:
    """How many layers have their attention as one operator."""
    nodes = model.graph.node
    return sum(node.op_type == "Attention" and node.domain == CONTRIBUTED for node in nodes)


def with_attention(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph of ours that keeps padding, with each layer's attention as one operator."""
    made_by = {node.output[0]: node for node in model.graph.node}
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    replaced = {
        output.removesuffix(QKV) + CONTEXT: _attention(output, made_by, constants)
        for output in made_by
        if output.endswith(QKV)
    }
    constants[AXIS] = numpy_helper.from_array(np.array([1], dtype=np.int64), AXIS)
    nodes = [replaced.get(node.output[0], node) for node in model.graph.node]
    kept = _needed([*_lengths(), *nodes], {value.name for value in model.graph.output})
    used = {name for node in kept for name in node.input}
    fused = onnx.ModelProto()
    fused.CopyFrom(model)
    del fused.graph.node[:], fused.graph.initializer[:]
    fused.opset_import.append(helper.make_opsetid(CONTRIBUTED, 1))
    fused.graph.node.extend(kept)
    fused.graph.initializer.extend(t for name, t in constants.items() if name in used)
    return fused


def _lengths() -> Iterator[onnx.NodeProto]:
    """How many tokens each row has, int32 (batch,)."""
    yield helper.make_node("Cast", ["attention_mask"], [TOKENS], name=TOKENS, to=TensorProto.INT32)
    yield helper.make_node("ReduceSum", [TOKENS, AXIS], [LENGTHS], name=LENGTHS, keepdims=0)


def _attention(
    joined: str, made_by: dict[str, onnx.NodeProto], constants: dict[str, onnx.TensorProto]
) -> onnx.NodeProto:
    """Attention of one layer, (batch, tokens, width), of what its linear layer `joined` takes."""
    name = joined.removesuffix(QKV)
    product, bias = made_by[f"{joined}.product"], made_by[joined].input[1]
    # (batch, tokens, 3, heads, head width)
    sizes = numpy_helper.to_array(constants[made_by[f"{name}{SPLIT}"].input[1]])
    return helper.make_node(
        "Attention",
        [*product.input, bias, LENGTHS],
        [f"{name}{CONTEXT}"],
        name=f"{name}{CONTEXT}",
        domain=CONTRIBUTED,
        num_heads=int(sizes[3]),
        scale=1.0,  # it stands in the query's weights
    )


def _needed(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]

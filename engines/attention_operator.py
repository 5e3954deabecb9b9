"""ONNX Runtime's own operator for a layer's attention, and how it is put into a graph.

`com.microsoft.Attention` takes what the linear layers of query, key and value take, and their
weights. Its kernels for a GPU know padding by the number of tokens of each row, so that padding has
to stand at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONTRIBUTED = "com.microsoft"
OPERATOR = "Attention"
AXIS, TOKENS, LENGTHS = "lengths.axis", "lengths.mask", "lengths"


def lengths() -> Iterator[onnx.NodeProto]:
    """How many tokens each row has, int32 (batch,). They take `lengths_axis`."""
    yield helper.make_node("Cast", ["attention_mask"], [TOKENS], name=TOKENS, to=TensorProto.INT32)
    yield helper.make_node("ReduceSum", [TOKENS, AXIS], [LENGTHS], name=LENGTHS, keepdims=0)


def lengths_axis() -> onnx.TensorProto:
    """The constant that `lengths` needs."""
    return numpy_helper.from_array(np.array([1], dtype=np.int64), AXIS)


def attention_node(
    output: str, inputs: Sequence[str], heads: int, scale: float, bias: str | None = None
) -> onnx.NodeProto:
    """Attention of one layer, (batch, tokens, width).

    Args:
        output: name of its value.
        inputs: names of the value that it takes, (batch, tokens, width), of the weights
            (width, 3 x width) and biases (3 x width) of query, key and value side by side.
        heads: how many heads there are.
        scale: what each score is multiplied with.
        bias: name of what is added to the scores, (1 or batch, heads, tokens, tokens).
    """
    added = [] if bias is None else ["", bias]  # behind the past, which an encoder has not
    return helper.make_node(
        OPERATOR,
        [*inputs, LENGTHS, *added],
        [output],
        name=output,
        domain=CONTRIBUTED,
        num_heads=heads,
        scale=scale,
    )


def rewritten(
    model: onnx.ModelProto,
    nodes: Iterable[onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
) -> onnx.ModelProto:
    """A copy of the model with those nodes and constants, less what its outputs do not need."""
    kept = needed(list(nodes), {value.name for value in model.graph.output})
    used = {name for node in kept for name in node.input}
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.initializer[:], copy.graph.value_info[:]
    if CONTRIBUTED not in {entry.domain for entry in copy.opset_import}:
        copy.opset_import.append(helper.make_opsetid(CONTRIBUTED, 1))
    copy.graph.node.extend(kept)
    copy.graph.initializer.extend(t for name, t in constants.items() if name in used)
    return copy


def needed(nodes: Sequence[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that the outputs depend on, in their order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return kept[::-1]

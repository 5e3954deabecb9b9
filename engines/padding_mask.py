"""Whether a value of a graph masks padding and nothing else: found out by running it.

Exporters spell the mask out in a dozen nodes, and in others with each version. What it does is
plain: nothing is added to the score of a token, and so much is taken from that of padding that
softmax makes zero of it, for every query of the row.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from engines.attention_operator import needed
from engines.measure import feed, open_session

# From a score less by this, softmax makes zero in FP32 and in FP16.
MASKED = -1e4
MASK_NAME = "attention_mask"


def is_padding_mask(model: onnx.ModelProto, name: str, max_tokens: int) -> bool:
    """Whether the value is 0 for tokens and MASKED or less for padding, whatever the tokens are.

    Args:
        model: the graph, in FP32.
        name: a value that is added to scores (batch, heads, queries, keys).
        max_tokens: the longest text: a window narrower than that is seen.
    """
    part = _giving(model, name)
    inputs = {value.name for value in model.graph.input} - {MASK_NAME}
    if any(node.op_type != "Shape" and inputs & set(node.input) for node in part.graph.node):
        return False
    counts = sorted({1, min(3, max_tokens), (max_tokens + 1) // 2, max_tokens})
    mask = (np.arange(max_tokens) < np.array(counts)[:, None]).astype(np.int64)
    found = open_session(part).run(None, feed(mask, mask))[0]
    if found.ndim != 4:
        return False
    try:
        wide = np.broadcast_to(found, (len(counts), found.shape[1], *[max_tokens] * 2))
    except ValueError:
        return False
    is_token = np.broadcast_to(mask[:, None, None, :] == 1, wide.shape)
    return bool(np.all(wide[is_token] == 0) and np.all(wide[~is_token] <= MASKED))


def _giving(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The part of the graph that makes this value, which is its one output."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.node[:], part.graph.output[:]
    part.graph.node.extend(needed(list(model.graph.node), {name}))
    part.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return part

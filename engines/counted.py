"""Numbers of a graph that end as whole ones, such as places in a table of relative positions.

They are worked out in floats, with a logarithm say, and rounded. FP16 rounds to another whole
number, and then another row of the table is read: what is small for a number is not for a place.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

WHOLE = (TensorProto.INT32, TensorProto.INT64)
# What they say is true or false, whatever they compare.
COMPARISONS = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or"}


def counted(graph: onnx.GraphProto) -> set[str]:
    """First outputs of the nodes whose values become whole numbers and nothing else.

    Of such a node all inputs are constants, of such nodes, or comparisons; or it is the Cast that
    they begin with.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    found = {node.output[0] for node in graph.node if not _rounds(node)}

    def belongs(node: onnx.NodeProto) -> bool:
        used = [user for name in node.output for user in users.get(name, [])]
        before = [made_by[name] for name in node.input if name in made_by]
        return (
            bool(used)
            and all(_rounds(user) or user.output[0] in found for user in used)
            and (
                node.op_type == "Cast"
                or all(each.op_type in COMPARISONS or each.output[0] in found for each in before)
            )
        )

    while lost := {
        node.output[0] for node in graph.node if node.output[0] in found and not belongs(node)
    }:
        found -= lost
    return found


def _rounds(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(
        attribute.name == "to" and attribute.i in WHOLE for attribute in node.attribute
    )

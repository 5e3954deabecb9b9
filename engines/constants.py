"""Equal constants of a graph, stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import onnx
from onnx import numpy_helper


def first_of_each(constants: Mapping[str, onnx.TensorProto]) -> dict[str, str]:
    """For every constant, the first one that has the same type, shape and bytes."""
    seen: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    return {
        name: seen.setdefault((tensor.data_type, tuple(tensor.dims), _digest(tensor)), name)
        for name, tensor in constants.items()
    }


def share_constants(model: onnx.ModelProto) -> None:
    """Keep one of several equal constants; nodes then take that one."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    same = first_of_each(constants)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = same.get(name, name)
    for index in reversed(range(len(model.graph.initializer))):
        name = model.graph.initializer[index].name
        if same[name] != name:
            del model.graph.initializer[index]


def _digest(tensor: onnx.TensorProto) -> bytes:
    return hashlib.sha256(numpy_helper.to_array(tensor).tobytes()).digest()

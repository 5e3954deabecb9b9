"""A graph of engines/graph.py that runs padding too, for runtimes that want known shapes.

Dropping padding makes every shape between entrance and attention depend on the values of the mask.
A processor does not mind. TensorRT then chooses no kernel for a length, waits for the GPU in the
middle of a run, and no CUDA graph can hold that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from engines.errors import EngineError

PADDING, SKIPPED = "padding", "skipped"
LAYOUT = "layout."
MASK = "mask.flat"
KEPT, SLOTS, PLACES, SHAPE = "layout.kept", "layout.slots", "layout.positions", "layout.shape"
LENGTH = "positions.length"


def skips_padding(model: onnx.ModelProto) -> bool:
    """Whether a graph drops padding at its entrance, as its metadata says."""
    return any((each.key, each.value) == (PADDING, SKIPPED) for each in model.metadata_props)


def keeping_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with all values as (batch, tokens, …); one that is so already is returned.

    Raises:
        EngineError: something of the layout is used in a way that is not known here.
    """
    if not skips_padding(model):
        return model
    rewriter = _Rewriter(model)
    for node in model.graph.node:
        rewriter.take(node)
    padded = onnx.ModelProto()
    padded.CopyFrom(model)
    del padded.graph.node[:]
    padded.graph.node.extend(rewriter.nodes)
    used = {name for node in rewriter.nodes for name in node.input}
    if left := sorted(name for name in used if name.startswith(LAYOUT) or name == MASK):
        raise EngineError(
            f"the graph takes {', '.join(left)} in a way that engines/padded_graph.py does not "
            "know: it has to follow what engines/graph.py writes"
        )
    constants = {tensor.name: tensor for tensor in model.graph.initializer} | rewriter.constants
    del padded.graph.initializer[:]
    padded.graph.initializer.extend(t for name, t in constants.items() if name in used)
    del padded.metadata_props[:]
    padded.metadata_props.extend(each for each in model.metadata_props if each.key != PADDING)
    return padded


class _Rewriter:
    """Nodes of the new graph; `same` has which value stands for one that is gone."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._same: dict[str, str] = {}
        self._numbers: Mapping[str, list[int]] = {
            tensor.name: numpy_helper.to_array(tensor).tolist()
            for tensor in model.graph.initializer
            if tensor.data_type == onnx.TensorProto.INT64 and len(tensor.dims) == 1
        }
        self._shapes: dict[str, list[int]] = {}

    def take(self, node: onnx.NodeProto) -> None:
        """Keep a node, change it, or leave it out."""
        inputs, output = list(node.input), node.output[0]
        if node.op_type == "Gather" and inputs[1] == PLACES:
            self._positions(inputs[0], output)
        elif output.startswith(LAYOUT) or output == MASK:
            return
        elif node.op_type == "Gather" and inputs[1] in (KEPT, SLOTS):
            self._same[output] = self._of(inputs[0])
        elif node.op_type == "Concat" and inputs[0] == SHAPE:
            self._shapes[output] = [0, 0, *self._numbers[inputs[1]]]
        elif node.op_type == "Reshape" and inputs[1] in self._shapes:
            self._reshape(inputs[0], self._shapes[inputs[1]], output)
        elif node.op_type == "Reshape" and self._numbers.get(inputs[1], [])[:2] == [1, -1]:
            self._reshape(inputs[0], [0, 0, *self._numbers[inputs[1]][2:]], output)
        else:
            kept = onnx.NodeProto()
            kept.CopyFrom(node)
            kept.input[:] = [self._of(name) for name in inputs]
            self.nodes.append(kept)

    def _of(self, name: str) -> str:
        return self._same.get(name, name)

    def _reshape(self, value: str, shape: list[int], output: str) -> None:
        """`value`, (batch, tokens, …), with `shape` behind the first two."""
        if output.endswith(".flat") or (len(shape) == 3 and output.endswith(".padded")):
            self._same[output] = self._of(value)  # it is (batch, tokens) or (batch, tokens, width)
            return
        target = self._constant("int64." + ".".join(map(str, shape)), shape)
        self._node("Reshape", [self._of(value), target], output)

    def _positions(self, table: str, output: str) -> None:
        """The first rows of the table, as many as there are tokens: (tokens, width)."""
        self._node("Shape", ["input_ids"], LENGTH, start=1, end=2)
        zero = self._constant("int64.0", [0])
        self._node("Slice", [table, zero, LENGTH, zero], output)

    def _constant(self, name: str, values: list[int]) -> str:
        self.constants[name] = numpy_helper.from_array(np.array(values, dtype=np.int64), name)
        return name

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))

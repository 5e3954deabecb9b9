"""Collects the nodes and constants of an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Weights = Mapping[str, NDArray[np.float32]]


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

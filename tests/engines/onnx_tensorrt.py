"""A stand-in for the Python package of TensorRT whose plans answer: each is its own graph.

It is `fake_tensorrt`, but that the parser takes any graph and ONNX Runtime runs what was built, on
the addresses that the context was given. So the gate can judge what a plan of it answers.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from engines.measure import open_session
from tests.engines import fake_tensorrt
from tests.engines.fake_tensorrt import *  # noqa: F403 - the package's whole surface
from tests.engines.fake_tensorrt import STATE, Config, ILogger, Severity

__version__ = fake_tensorrt.__version__


class OnnxParser(fake_tensorrt.OnnxParser):
    def parse(self, graph: bytes) -> bool:
        STATE["graph"] = graph
        return True


class Builder(fake_tensorrt.Builder):
    def build_serialized_network(self, network: int, config: Config) -> memoryview | None:
        assert config.profiles
        if STATE.get("fails"):
            STATE["log"].log(Severity.ERROR, STATE["fails"])
            return None
        return memoryview(STATE["graph"])


class Runtime:
    def __init__(self, log: ILogger) -> None:
        self.log = log

    def deserialize_cuda_engine(self, plan: bytes) -> Engine:
        return Engine(plan)


class Engine(fake_tensorrt.Engine):
    def __init__(self, plan: bytes) -> None:
        import onnx

        super().__init__(profiles=11)
        self.session = open_session(onnx.load_from_string(plan), threads=1)
        (output,) = self.session.get_outputs()
        self.width = output.shape[-1]
        self.names = (*self.names[:3], output.name)

    def get_tensor_mode(self, name: str) -> fake_tensorrt.TensorIOMode:
        is_output = name == self.names[-1]
        return fake_tensorrt.TensorIOMode.OUTPUT if is_output else fake_tensorrt.TensorIOMode.INPUT

    def create_execution_context(self) -> Context:
        return Context(self)


class Context(fake_tensorrt.Context):
    engine: Engine

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert name == self.engine.names[-1]
        return (self.shapes["input_ids"][0], self.engine.width)

    def execute_async_v3(self, stream: int) -> bool:
        feed: dict[str, Any] = {name: self._read(name) for name in self.engine.names[:3]}
        (answer,) = self.engine.session.run(None, feed)
        values = np.ascontiguousarray(answer, np.float32)
        ctypes.memmove(self.addresses[self.engine.names[-1]], values.tobytes(), values.nbytes)
        return True

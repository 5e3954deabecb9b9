"""A stand-in for the Python package of TensorRT: what is called of it, by its documentation.

A plan of it is the number of its profiles. Run, it gives for each row the sum of its ids and how
many of them are not masked, which it reads from and writes to the addresses that it was given.
"""

from __future__ import annotations

import ctypes
from enum import Enum, IntEnum
from typing import Any

import numpy as np

__version__ = "11.4.1.9"
# What the next build is to do, and what the last one was asked for.
STATE: dict[str, Any] = {}


class Severity(Enum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        STATE["log"] = self


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class MemoryPoolType(Enum):
    WORKSPACE = 0


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class Cache:
    def __init__(self, contents: bytes) -> None:
        self.contents = contents

    def serialize(self) -> memoryview:
        return memoryview(self.contents + b"+")


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, name: str, least: Any, best: Any, most: Any) -> None:
        self.shapes[name] = (least, best, most)


class Config:
    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.workspace = 0
        self.cache: Cache | None = None

    def set_memory_pool_limit(self, pool: MemoryPoolType, size: int) -> None:
        assert pool is MemoryPoolType.WORKSPACE
        self.workspace = size

    def add_optimization_profile(self, profile: Profile) -> int:
        if STATE.get("refuses"):
            STATE["log"].log(Severity.ERROR, "least is over best")
            return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, contents: bytes) -> Cache:
        return Cache(contents)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert ignore_mismatch is False
        if cache.contents.startswith(b"of another GPU"):
            return False
        self.cache = cache
        return True


class Builder:
    def __init__(self, log: ILogger) -> None:
        assert isinstance(log, ILogger)

    def create_network(self, flags: int) -> int:
        return flags

    def create_builder_config(self) -> Config:
        STATE["config"] = Config()
        return STATE["config"]

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: int, config: Config) -> memoryview | None:
        STATE["network"] = network
        if STATE.get("fails"):
            STATE["log"].log(Severity.WARNING, "slow")
            STATE["log"].log(Severity.ERROR, STATE["fails"])
            return None
        return memoryview(str(len(config.profiles)).encode())


class OnnxParser:
    def __init__(self, network: int, log: ILogger) -> None:
        self.num_errors = 0

    def parse(self, graph: bytes) -> bool:
        STATE["graph"] = graph
        self.num_errors = 0 if graph.startswith(b"graph") else 2
        return self.num_errors == 0

    def get_error(self, index: int) -> str:
        return f"In node {index}: no importer"


class Runtime:
    def __init__(self, log: ILogger) -> None:
        self.log = log

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        if not plan.isdigit():
            STATE["log"].log(Severity.ERROR, "the plan was built by another version")
            return None
        return Engine(int(plan))


class Engine:
    names = ("input_ids", "attention_mask", "token_type_ids", "logits")
    device_memory_size_v2 = 4096

    def __init__(self, profiles: int) -> None:
        self.profiles = profiles
        self.num_io_tensors = len(self.names)

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.OUTPUT if name == "logits" else TensorIOMode.INPUT

    def create_execution_context(self) -> Context:
        STATE["context"] = Context(self)
        return STATE["context"]


class Context:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.used: list[int] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, place: int, stream: int) -> bool:
        assert 0 <= place < self.engine.profiles
        self.used.append(place)
        self.shapes = {}
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return shape[0] <= 32

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert set(self.shapes) == {*Engine.names} - {name}
        return (self.shapes["input_ids"][0], 2)

    def execute_async_v3(self, stream: int) -> bool:
        STATE["stream"] = stream
        ids, mask = self._read("input_ids"), self._read("attention_mask")
        answer = np.stack([(ids * mask).sum(axis=1), mask.sum(axis=1)], axis=1).astype(np.float32)
        ctypes.memmove(self.addresses["logits"], answer.tobytes(), answer.nbytes)
        return not STATE.get("stops")

    def _read(self, name: str) -> Any:
        size = int(np.prod(self.shapes[name])) * 8
        values = np.frombuffer(ctypes.string_at(self.addresses[name], size), np.int64)
        return values.reshape(self.shapes[name])

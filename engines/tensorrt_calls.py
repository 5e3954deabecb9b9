"""Every call into TensorRT: builds a plan of a graph, and runs one. All that they are given is made
elsewhere, where it can be tested without a GPU.

Written for the Python API of TensorRT 10 and 11
(https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/index.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.cuda_memory import Cuda
from engines.errors import GpuNotUsable, PlanError
from engines.gpu import INSTALL_TENSORRT
from engines.measure import Floats
from engines.plan_shapes import Profile, profile_of
from engines.runtimes import Output
from engines.tensor_names import INPUT_NAMES
from engines.whole_file import whole_file

MOST_ERRORS = 5


@dataclass(frozen=True)
class Build:
    """How a plan is built: what for, with how much scratch, and where timings of kernels are kept.

    Networks are strongly typed: TensorRT multiplies in what the graph says. Plans are not version
    compatible, which would cost speed: each is for one TensorRT.
    """

    profiles: Sequence[Profile]
    workspace_bytes: int
    timing_cache: Path


def tensorrt_version() -> str:
    """The version of the TensorRT that would be called."""
    return str(_tensorrt().__version__)


def build_plan(graph: bytes, build: Build) -> bytes:
    """The plan of an ONNX graph for the GPU of this machine.

    Raises:
        PlanError: TensorRT cannot read the graph, or finds no kernel or no memory for it; says
            what it said.
    """
    trt = _tensorrt()
    log = _log(trt)
    builder = trt.Builder(log)
    # TensorRT 11 knows no other networks, and takes the flag as ever.
    strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(strongly_typed)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(graph):
        errors = [str(parser.get_error(index)) for index in range(parser.num_errors)]
        raise PlanError(f"TensorRT cannot read the graph: {'; '.join(errors[:MOST_ERRORS])}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, build.workspace_bytes)
    for profile in build.profiles:
        shapes = builder.create_optimization_profile()
        for name in INPUT_NAMES:
            shapes.set_shape(name, *profile.shapes)
        if config.add_optimization_profile(shapes) < 0:
            raise PlanError(f"TensorRT refuses the profile {profile}: {log.told()}")
    cache = _timing_cache(config, build.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise PlanError(f"TensorRT built no plan: {log.told()}")
    build.timing_cache.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(build.timing_cache) as partial:
        partial.write_bytes(bytes(cache.serialize()))
    return bytes(plan)


class PlanEngine:
    """A plan on the GPU of this machine, asked like a session of ONNX Runtime."""

    def __init__(self, plan: bytes, profiles: Sequence[Profile]) -> None:
        """Raises PlanError where TensorRT does not take the plan."""
        trt = _tensorrt()
        self._log = _log(trt)
        self._cuda = Cuda()
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise PlanError(f"TensorRT does not take the plan: {self._log.told()}")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise PlanError(f"TensorRT cannot run the plan: {self._log.told()}")
        self._profiles = profiles
        self._rooms: dict[str, tuple[int, int]] = {}
        names = (self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors))
        (self._output,) = (
            name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        )

    @property
    def memory_bytes(self) -> int:
        """Memory of the GPU for values between layers, whatever the profile."""
        return int(self._engine.device_memory_size_v2)

    def get_outputs(self) -> list[Output]:
        """The one output."""
        return [Output(self._output)]

    def run(self, names: None, feed: dict[str, NDArray[np.int64]]) -> list[Floats]:
        """The output for one batch, float32 (rows, width)."""
        tokens = next(iter(feed.values())).shape[1]
        place = profile_of(self._profiles, tokens)
        self._context.set_optimization_profile_async(place, self._cuda.stream)
        self._cuda.wait()
        for name, values in feed.items():
            address = self._room(name, values.nbytes)
            self._cuda.copy_in(address, values)
            self._set(name, address, values.shape)
        output = np.empty(tuple(self._context.get_tensor_shape(self._output)), np.float32)
        address = self._room(self._output, output.nbytes)
        self._set(self._output, address, None)
        if not self._context.execute_async_v3(self._cuda.stream):
            raise PlanError(f"TensorRT cannot run the plan: {self._log.told()}")
        self._cuda.wait()
        self._cuda.copy_out(address, output)
        return [output]

    def _room(self, name: str, size_bytes: int) -> int:
        """The address of a tensor's memory on the GPU, which is kept from run to run, as a server
        keeps it: reserving it anew would be part of every time that is measured."""
        address, reserved_bytes = self._rooms.get(name, (0, 0))
        if size_bytes <= reserved_bytes:
            return address
        if self._rooms.pop(name, None) is not None:
            self._cuda.release(address)
        address = self._cuda.reserve(size_bytes)
        self._rooms[name] = (address, size_bytes)
        return address

    def _set(self, name: str, address: int, shape: tuple[int, ...] | None) -> None:
        taken = shape is None or self._context.set_input_shape(name, shape)
        if not taken or not self._context.set_tensor_address(name, address):
            raise PlanError(f"TensorRT does not take {name} as {shape}: {self._log.told()}")


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise GpuNotUsable(f"TensorRT cannot be imported ({error}): {INSTALL_TENSORRT}") from error
    return tensorrt


def _timing_cache(config: Any, path: Path) -> Any:
    """The cache in a file, if it fits this GPU and TensorRT, else an empty one; set in `config`."""
    kept = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(kept)
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _log(trt: Any) -> Any:
    """TensorRT's messages, of which the errors are kept: it returns nothing where it fails."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self._errors.append(message)

        def told(self) -> str:
            return "; ".join(self._errors[-MOST_ERRORS:]) or "it does not say why"

    return Log()

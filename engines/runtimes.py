"""The ways an engine can be run on this machine: runtime, precision, threads and instances."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.buckets import BUCKET_LENGTHS, bucket_length
from core.card import ENGINE_FILE
from core.plan import TENSORRT
from engines.errors import EngineError
from engines.gpu import Gpu, visible_gpu
from engines.gpu_config import GPU_RUN_TOKENS
from engines.measure import Engine, Floats, open_session
from engines.model_config import MAX_BATCH_SIZE

Backend = Literal["onnxruntime", "openvino", "tensorrt"]
Precision = Literal["INT8", "FP32", "BF16", "FP16"]
REFERENCE_FILE = "model.fp32.onnx"
GPU_FILE = "model.fp16.onnx"
# As `--runtime` names ONNX Runtime on a GPU.
CUDA = "cuda"
# Instances of an engine that share a GPU: two keep it busy while one waits for its process.
GPU_LAYOUTS = ((1, 1), (1, 2))
# As in the backends, unless a configuration says otherwise.
RUN_TOKENS = 512
PLAN_RUN_TOKENS = MAX_BATCH_SIZE * BUCKET_LENGTHS[-1]
# An instance is a process with an engine of its own: on larger machines more of them cost more
# memory than threads do.
MOST_INSTANCES = 8
INSTALL_OPENVINO = "OpenVINO is not installed: `pip install 'sub50[tune]'` to measure it too"


@dataclass(frozen=True)
class Candidate:
    """One way to run an engine. `threads` are those of each of the `instances`; `file` is that of
    the engine, for a plan, whose name its precision does not tell."""

    backend: Backend
    precision: Precision
    threads: int
    instances: int
    file: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether it runs on a GPU: FP16 and plans are for those alone."""
        return self.precision == "FP16" or self.backend == TENSORRT

    @property
    def engine_file(self) -> str:
        """The file in the version folder: the INT8 engine, the unquantized graph, the GPU's, or a
        plan."""
        return self.file or {"INT8": ENGINE_FILE, "FP16": GPU_FILE}.get(
            self.precision, REFERENCE_FILE
        )

    @property
    def runtime(self) -> str:
        """What runs it, as `--runtime` names it."""
        return CUDA if self.on_gpu and self.backend == "onnxruntime" else self.backend

    @property
    def label(self) -> str:
        """Its name for people, such as `openvino BF16 2x1` (threads x instances)."""
        return f"{self.runtime} {self.precision} {self.threads}x{self.instances}"

    def as_dict(self) -> dict[str, Any]:
        """How it is run, without the file."""
        return {name: value for name, value in asdict(self).items() if name != "file"}


DEFAULT = Candidate("onnxruntime", "INT8", threads=0, instances=1)


class OpenVinoEngine:
    """An engine file compiled by OpenVINO, asked like a session of ONNX Runtime."""

    def __init__(self, path: Path, precision: str, threads: int, profiled: bool = False) -> None:
        import openvino

        hint = "bf16" if precision == "BF16" else "f32"
        self._compiled = openvino.Core().compile_model(
            str(path),
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "NUM_STREAMS": "1",
                "INFERENCE_PRECISION_HINT": hint,
                "ENABLE_HYPER_THREADING": "YES",
                "ENABLE_CPU_PINNING": "NO",
                "INFERENCE_NUM_THREADS": str(threads or usable_cores()),
                "PERF_COUNT": "YES" if profiled else "NO",
            },
        )
        self._request = self._compiled.create_infer_request()
        self._output = Output(self._compiled.outputs[0].any_name)

    def run(self, names: None, feed: dict[str, NDArray[np.int64]]) -> list[Floats]:
        """The output for one batch, float32 (rows, width)."""
        self._request.infer(feed, share_inputs=True)
        return [np.array(self._request.get_output_tensor(0).data)]

    def get_outputs(self) -> list[Output]:
        """The one output."""
        return [self._output]

    def node_times(self) -> list[Any]:
        """OpenVINO's `ProfilingInfo` of every node that runs, where the engine is profiled."""
        found = self._request.profiling_info
        return [node for node in found if node.status == node.Status.EXECUTED]


@dataclass(frozen=True)
class Output:
    """An output of an engine."""

    name: str


def run_length(backend: str, precision: str, tokens: int) -> int:
    """The padded length at which that runtime's backend runs a text of so many tokens."""
    is_padded = backend in ("openvino", TENSORRT) or precision == "FP16"
    return bucket_length(tokens) if is_padded else tokens


def max_run_tokens(backend: str, precision: str) -> int:
    """Padded tokens that a run holds at most, as the backends cut their batches; plans are run as
    they come, in batches of up to 32."""
    if backend == TENSORRT:
        return PLAN_RUN_TOKENS
    return GPU_RUN_TOKENS if precision == "FP16" else RUN_TOKENS


def open_engine(
    path: Path, backend: str, precision: str, threads: int = 0, profile: Path | None = None
) -> Engine:
    """Load an engine file as a backend would; `threads` 0 takes every core.

    With `profile` its runtime looks on: ONNX Runtime writes to a file whose path begins so, and
    OpenVINO counts.
    """
    if backend == "openvino":
        return OpenVinoEngine(path, precision, threads, profiled=profile is not None)
    if backend == TENSORRT:
        from engines.plan_here import open_plan

        return open_plan(path)
    if precision == "FP16":
        from engines.cuda import CudaEngine

        return CudaEngine(path, profile)
    session: Engine = open_session(path, threads or usable_cores(), profile)
    return session


def has_openvino() -> bool:
    """Whether OpenVINO is installed."""
    return importlib.util.find_spec("openvino") is not None


def candidates(runtime: str | None = None, precision: str | None = None) -> list[Candidate]:
    """Every way to run an engine here, or those of one runtime or precision.

    BF16 is left out where the processor has no instructions for it, FP16 where there is no GPU.
    INT8 under the hint bf16 is never one: its answers move with their batch-mates.

    Raises:
        EngineError: a name is unknown, or nothing is left of the choice.
    """
    ways: list[tuple[Backend, Precision]] = [
        ("onnxruntime", "INT8"),
        ("onnxruntime", "FP32"),
    ]
    if has_openvino():
        ways.append(("openvino", "INT8"))
        if multiplies_bf16():
            ways.append(("openvino", "BF16"))
    elif runtime == "openvino":
        raise EngineError(INSTALL_OPENVINO)
    if has_gpu(is_wanted=runtime == CUDA):
        ways.append(("onnxruntime", "FP16"))
    chosen = [
        (backend, name)
        for backend, name in ways
        if runtime in (None, CUDA if name == "FP16" else backend)
        and (precision is None or precision.upper() == name)
    ]
    if not chosen:
        known = ", ".join(f"{CUDA if name == 'FP16' else way} {name}" for way, name in ways)
        raise EngineError(f"no candidate is {runtime or ''} {precision or ''}; there are {known}")
    return [
        Candidate(backend, name, threads, instances)
        for backend, name in chosen
        for threads, instances in (GPU_LAYOUTS if name == "FP16" else layouts(usable_cores()))
    ]


def has_gpu(is_wanted: bool = False) -> bool:
    """Whether ONNX Runtime can run engines on a GPU here.

    Raises:
        EngineError: it cannot, and `is_wanted`; says what was found, what is needed, what to do.
    """
    from engines.cuda import cuda_gpu, require_cuda

    return require_cuda() is not None if is_wanted else cuda_gpu() is not None


def gpu_of(candidate: Candidate) -> Gpu | None:
    """The GPU that a candidate runs on here; None for one that runs on processors.

    Raises:
        EngineError: there is none that it could run on.
    """
    if not candidate.on_gpu:
        return None
    if candidate.backend == TENSORRT:
        return visible_gpu()
    from engines.cuda import require_cuda

    return require_cuda()


def require_runs(candidate: Candidate) -> Gpu | None:
    """The GPU that a candidate of an ONNX engine runs on here; None for one on processors.

    Raises:
        EngineError: it cannot be run here as it is served; says what is missing, and what to do.
    """
    if candidate.backend == "openvino" and not has_openvino():
        raise EngineError("OpenVINO is not installed: `pip install 'sub50[openvino]'` brings it")
    if candidate.precision == "BF16" and not multiplies_bf16():
        raise EngineError(
            "the processor here has no BF16 instructions, without which OpenVINO computes "
            "otherwise; ask on one that has them, or tune the model here"
        )
    return gpu_of(candidate)


def gpu_name(gpu: Gpu) -> str:
    """A GPU, for the card."""
    return f"{gpu.name} (compute capability {gpu.compute_capability}, driver {gpu.driver})"


def layouts(cores: int) -> Sequence[tuple[int, int]]:
    """Threads and instances worth measuring: all cores shared out in several ways, and one."""
    several = min(cores, MOST_INSTANCES)
    found = [(cores, 1), (cores // 2, 2), (cores // several, several), (1, 1)]
    return list(dict.fromkeys((threads, n) for threads, n in found if threads and n <= cores))


def multiplies_bf16() -> bool:
    """Whether OpenVINO runs bf16 on this processor without emulating it."""
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))

"""Engines run on this machine's GPU by ONNX Runtime's CUDA provider."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from core import onnx_runtime, sub50_cuda
from core.buckets import BUCKET_LENGTHS
from core.gpu import ON_CPU
from engines.errors import GpuNotUsable
from engines.gpu import Gpu, Needs, require_gpu
from engines.gpu_config import GPU_RUN_TOKENS, OPTIONS
from engines.measure import Floats, profile_into

# CUDA 13 has left out older GPUs and drivers.
NEEDS = Needs("ONNX Runtime with CUDA 13", (7, 5), (580,))


class CudaEngine:
    """An engine file on the GPU, asked like a session of ONNX Runtime, and run as it is served."""

    def __init__(self, path: Path, profile: Path | None = None) -> None:
        """With `profile`, what runs is written to a file whose path begins so, and nothing is
        recorded: a run that is replayed has no operators.

        Raises NotOnGpu where it cannot run there.
        """
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        profile_into(options, profile)
        graphs = profile is None
        chosen = sub50_cuda.provider_options(OPTIONS, graphs)
        self._session = sub50_cuda.open_session(str(path), options, chosen)
        names = [tensor.name for tensor in self._session.get_outputs()]
        self._bound = sub50_cuda.BoundEngine(
            self._session, names, BUCKET_LENGTHS, GPU_RUN_TOKENS, graphs=graphs
        )

    def run(self, names: None, feed: dict[str, NDArray[np.int64]]) -> list[Floats]:
        """The outputs for one batch, float32 (rows, width)."""
        return self._bound.run(feed)

    def get_outputs(self) -> Sequence[Any]:
        """The outputs, each with its `name`."""
        outputs: Sequence[Any] = self._session.get_outputs()
        return outputs

    def end_profiling(self) -> str:
        """The file that the profile was written to."""
        return str(self._session.end_profiling())


def require_cuda() -> Gpu:
    """The GPU that engines can be run on here.

    Raises:
        GpuNotUsable: there is none, it or its driver is too old, or the ONNX Runtime here is that
            for processors; says what was found, what is needed, and what to do.
    """
    gpu = require_gpu(NEEDS)
    available = ort.get_available_providers()
    if sub50_cuda.PROVIDER not in available:
        installed = onnx_runtime.installed_runtimes()
        found = " and ".join(f"{name} {version}" for name, version in installed.items())
        raise GpuNotUsable(
            f"there is {gpu.name}, and {found} has {', '.join(available)} and not "
            f"{sub50_cuda.PROVIDER}: `make setup-gpu` puts {onnx_runtime.GPU} there. {ON_CPU}"
        )
    return gpu


def cuda_gpu() -> Gpu | None:
    """The GPU that engines can be run on here, or None."""
    try:
        return require_cuda()
    except GpuNotUsable:
        return None

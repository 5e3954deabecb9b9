"""Makes this machine look like one with a GPU, its driver and TensorRT, for child processes too.

What is asked for is there: `nvidia-smi` on the path, the driver's library, the package `tensorrt`
with its metadata. Behind them are the stand-ins of the tests, and ONNX Runtime on the processor.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from core.gpu import Gpu
from engines import cuda_memory, plans
from engines.runtime_options import Precision
from tests.engines import onnx_tensorrt
from tests.engines.fake_driver import compiled
from tests.engines.tiny_plan import L4, MEBIBYTE, tiny_subject

PACKAGE = """from tests.engines.onnx_tensorrt import *
from tests.engines.onnx_tensorrt import __version__
"""


def put_gpu(folder: Path, patch: pytest.MonkeyPatch, gpu: Gpu = L4) -> None:
    """Put a GPU into this machine; what that takes is written into `folder`."""
    folder.mkdir()
    library = compiled(folder)
    write_nvidia_smi(folder, gpu)
    (folder / "tensorrt.py").write_text(PACKAGE)
    metadata = folder / f"tensorrt_cu13-{onnx_tensorrt.__version__}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    version = f"Version: {onnx_tensorrt.__version__}\n"
    metadata.write_text(f"Metadata-Version: 2.1\nName: tensorrt-cu13\n{version}")
    patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    patch.setenv("PYTHONPATH", str(folder))
    patch.setenv("LD_LIBRARY_PATH", str(folder))
    patch.syspath_prepend(folder)
    patch.setitem(sys.modules, "tensorrt", onnx_tensorrt)
    patch.setattr(cuda_memory, "LIBRARY", str(library))
    onnx_tensorrt.STATE.clear()


def write_nvidia_smi(folder: Path, gpu: Gpu) -> None:
    """The driver's program, which lists that GPU."""
    memory = f"{(gpu.memory_bytes or 0) // MEBIBYTE}, {(gpu.free_bytes or 0) // MEBIBYTE}"
    line = f"{gpu.name}, {gpu.compute_capability}, {gpu.driver}, {memory}"
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)


def build_plan_repository(folder: Path) -> Path:
    """A repository below `folder` with an FP16 plan of `topics`, built on a machine with a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        put_gpu(folder / "machine", patch)
        patch.setattr(plans, "subject_of", tiny_subject)
        patch.setattr(plans, "TIMING_CACHES", folder / "caches")
        patch.setattr("engines.timing.TIMED_SHAPES", ((1, 8),))
        patch.setattr(plans, "SECONDS_A_SHAPE", 0.0)
        plans.build_plans(["topics"], folder / "repository", Precision.FP16)
    return folder / "repository"

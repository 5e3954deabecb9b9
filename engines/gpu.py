"""The GPU that an engine is made and measured on, or an error that says what it lacks.

What a runtime needs is a `Needs`; which GPU there is says `core/gpu.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from core.gpu import ON_CPU, Gpu, GpuError, find_gpus, numbers
from engines.errors import GpuNotUsable

__all__ = [
    "Gpu",
    "GpuError",
    "Needs",
    "find_gpus",
    "gpu_for_tensorrt",
    "require_gpu",
    "visible_gpu",
]

VISIBLE, ORDER, BY_PLACE = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
# Distributions by the CUDA that they bring; `tensorrt` alone brings that of CUDA 13.
TENSORRT = {"tensorrt-cu13": 13, "tensorrt-cu12": 12, "tensorrt": 13}
INSTALL_TENSORRT = (
    "`pip install 'sub50[tensorrt]'` (CUDA 13, drivers from 580 on) or `pip install tensorrt-cu12` "
    "(drivers from 535 on); they fetch NVIDIA's own packages from pypi.nvidia.com, which this "
    "machine has to reach"
)


@dataclass(frozen=True)
class Needs:
    """What a runtime needs of a GPU: the least compute capability and driver."""

    what: str
    compute_capability: tuple[int, int]
    driver: tuple[int, ...]


def require_gpu(needs: Needs) -> Gpu:
    """The GPU that CUDA will take, if it is good enough.

    Raises:
        GpuNotUsable: there is none, or it or its driver is too old; says what was found, what is
            needed, and what to do.
    """
    return _good_enough(visible_gpu(), needs)


def gpu_for_tensorrt() -> Gpu:
    """The GPU that the TensorRT installed here can build for.

    Raises:
        GpuNotUsable: there is none, TensorRT is missing, or GPU or driver are too old for it.
    """
    gpu = visible_gpu()  # first: who has none need not install anything
    try:
        needs = tensorrt_needs()
    except GpuNotUsable as error:
        raise GpuNotUsable(f"there is {gpu.name} with driver {gpu.driver}. {error}") from error
    return _good_enough(gpu, needs)


def visible_gpu() -> Gpu:
    """The GPU that CUDA will take, whatever it is. Raises GpuNotUsable where there is none."""
    try:
        return chosen(find_gpus(), os.environ)
    except GpuError as error:
        raise GpuNotUsable(str(error)) from error


def _good_enough(gpu: Gpu, needs: Needs) -> Gpu:
    if numbers(gpu.compute_capability) < needs.compute_capability:
        raise GpuNotUsable(
            f"{gpu.name} has compute capability {gpu.compute_capability}; {needs.what} needs "
            f"{_dotted(needs.compute_capability)} or more (GPUs from 2018 on). {ON_CPU}"
        )
    if numbers(gpu.driver) < needs.driver:
        raise GpuNotUsable(
            f"the driver of {gpu.name} is {gpu.driver}; {needs.what} needs "
            f"{_dotted(needs.driver)} or newer. Install a newer driver, and restart. {ON_CPU}"
        )
    return gpu


def chosen(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> Gpu:
    """The GPU that CUDA will take of several: it matters only where they differ.

    Raises:
        GpuError: they differ, and the environment does not name one by its place.
    """
    if len({(gpu.name, gpu.compute_capability) for gpu in gpus}) == 1:
        return gpus[0]
    index = environment.get(VISIBLE, "")
    if environment.get(ORDER) == BY_PLACE and index.isdecimal() and int(index) < len(gpus):
        return gpus[int(index)]
    listed = ", ".join(f"{number}: {gpu.name}" for number, gpu in enumerate(gpus))
    raise GpuError(
        f"this machine has different GPUs ({listed}), and an engine is made for one of them: name "
        f"it with {ORDER}={BY_PLACE} {VISIBLE}=NUMBER"
    )


def tensorrt_needs() -> Needs:
    """What the TensorRT that is installed needs of a GPU.

    Raises:
        GpuNotUsable: it is not installed; says how to.
    """
    installed = tensorrt_installed()
    if installed is None:
        raise GpuNotUsable(f"TensorRT is not installed: {INSTALL_TENSORRT}. {ON_CPU}")
    number, cuda = installed
    driver = (580,) if cuda == 13 else (535,)
    # Turing, as all of TensorRT 10.x and 11.x that these packages bring.
    return Needs(f"TensorRT {number} for CUDA {cuda}", (7, 5), driver)


def tensorrt_installed() -> tuple[str, int] | None:
    """The version of TensorRT that is installed and its CUDA's, or None."""
    for name, cuda in TENSORRT.items():
        try:
            return version(name), cuda
        except PackageNotFoundError:
            continue
    return None


def _dotted(found: Sequence[int]) -> str:
    return ".".join(map(str, found))

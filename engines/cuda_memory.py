"""Memory of a GPU and copies to and from it, by the driver's own library.

It comes with every driver, whatever CUDA TensorRT was made for. These are the driver API's first
functions (https://docs.nvidia.com/cuda/cuda-driver-api/); the context is the primary one of the
first visible GPU, which TensorRT uses too.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.errors import GpuNotUsable

LIBRARY = "libcuda.so.1"


class Cuda:
    """The driver, with a context and a stream of its own. Not thread-safe."""

    def __init__(self) -> None:
        """Raises GpuNotUsable where there is no driver, or no GPU that it opens."""
        try:
            self._library = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise GpuNotUsable(
                f"{LIBRARY} cannot be loaded ({error}): install NVIDIA's driver, or start the "
                "container with NVIDIA's container toolkit (NVIDIA_DRIVER_CAPABILITIES=compute)"
            ) from error
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        self._call("cuStreamCreate", ctypes.byref(stream), ctypes.c_uint(0))
        self._stream = stream

    @property
    def stream(self) -> int:
        """The stream's handle, as TensorRT takes it."""
        return self._stream.value or 0

    def reserve(self, size_bytes: int) -> int:
        """Reserve memory on the GPU; returns its address."""
        address = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return address.value

    def release(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", ctypes.c_uint64(address))

    def copy_in(self, address: int, values: NDArray[Any]) -> None:
        """Copy an array to the GPU, and wait for it."""
        whole = np.ascontiguousarray(values)
        source = ctypes.c_void_p(whole.ctypes.data)
        size = ctypes.c_size_t(whole.nbytes)
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(address), source, size)

    def copy_out(self, address: int, values: NDArray[Any]) -> None:
        """Copy from the GPU into a contiguous array, and wait for it."""
        target = ctypes.c_void_p(values.ctypes.data)
        size = ctypes.c_size_t(values.nbytes)
        self._call("cuMemcpyDtoH_v2", target, ctypes.c_uint64(address), size)

    def wait(self) -> None:
        """Wait for all that was put on the stream."""
        self._call("cuStreamSynchronize", self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            text = ctypes.c_char_p()
            self._library.cuGetErrorName(ctypes.c_int(status), ctypes.byref(text))
            said = (text.value or b"").decode() or f"error {status}"
            raise GpuNotUsable(
                f"{name} of NVIDIA's driver failed: {said}. See with nvidia-smi what else uses the "
                "GPU and how much of its memory is free"
            )

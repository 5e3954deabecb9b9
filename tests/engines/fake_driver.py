"""A stand-in for the library of NVIDIA's driver, whose memory of a GPU is this process's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

STREAM = 0xFEDCBA987654
# The signatures of cuda.h.
LIBRARY = """
#include <stdlib.h>
#include <string.h>
typedef unsigned long long CUdeviceptr;
static int started, current;
int cuInit(unsigned int flags) { started = 1; return flags ? 1 : 0; }
int cuDeviceGet(int *device, int ordinal) { *device = 7; return ordinal ? 101 : 0; }
int cuDevicePrimaryCtxRetain(void **context, int device)
{ *context = (void *)0x123456789abcUL; return device == 7 ? 0 : 101; }
int cuCtxSetCurrent(void *context)
{ current = context == (void *)0x123456789abcUL; return current ? 0 : 201; }
int cuStreamCreate(void **stream, unsigned int flags)
{ *stream = (void *)0xfedcba987654UL; return current ? 0 : 201; }
int cuStreamSynchronize(void *stream) { return stream == (void *)0xfedcba987654UL ? 0 : 400; }
int cuMemAlloc_v2(CUdeviceptr *address, size_t size)
{ if (size > 1 << 20) return 2; *address = (CUdeviceptr)malloc(size); return 0; }
int cuMemFree_v2(CUdeviceptr address) { free((void *)address); return 0; }
int cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t size)
{ memcpy((void *)to, from, size); return 0; }
int cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t size)
{ memcpy(to, (void *)from, size); return 0; }
int cuGetErrorName(int error, const char **name)
{ *name = error == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR"; return 0; }
"""


def compiled(folder: Path) -> Path:
    """The library, compiled into `folder`; skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (Debian's package gcc)")
    (folder / "cuda.c").write_text(LIBRARY)
    path = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, folder / "cuda.c"], check=True)
    return path

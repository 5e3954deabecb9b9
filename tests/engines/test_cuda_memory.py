"""Copies to and from a GPU, by a stand-in for the driver's library that keeps them in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines import cuda_memory
from engines.cuda_memory import Cuda
from engines.errors import GpuNotUsable
from tests.engines.fake_driver import STREAM, compiled


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("driver"))


def test_what_is_copied_in_comes_out(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY", str(library))
    cuda = Cuda()
    assert cuda.stream == STREAM
    values = np.arange(24, dtype=np.int64).reshape(4, 6)[:, ::2]
    address = cuda.reserve(values.nbytes)
    cuda.copy_in(address, values)
    cuda.wait()
    found = np.empty_like(values, order="C")
    cuda.copy_out(address, found)
    cuda.release(address)
    np.testing.assert_array_equal(found, values)


def test_a_full_gpu_is_told(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY", str(library))
    with pytest.raises(GpuNotUsable, match=r"cuMemAlloc_v2 .* failed: CUDA_ERROR_OUT_OF_MEMORY"):
        Cuda().reserve(2**21)


def test_a_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY", str(tmp_path / "libcuda.so.1"))
    with pytest.raises(GpuNotUsable, match="install NVIDIA's driver"):
        Cuda()

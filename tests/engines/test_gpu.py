"""Whether a GPU is good enough, and what is told where it is not."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from engines import gpu
from engines.errors import GpuNotUsable
from engines.gpu import (
    Gpu,
    GpuError,
    Needs,
    chosen,
    gpu_for_tensorrt,
    require_gpu,
    tensorrt_needs,
)

NEEDS = Needs("TensorRT 11.4.1 for CUDA 13", (7, 5), (580,))
L4 = Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * 2**20, 22000 * 2**20)
T4 = Gpu("Tesla T4", "7.5", "580.65.06", 15360 * 2**20, 15000 * 2**20)


def found(monkeypatch: pytest.MonkeyPatch, *gpus: Gpu) -> None:
    monkeypatch.setattr(gpu, "find_gpus", lambda: list(gpus))


def test_a_gpu_that_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, L4)
    assert require_gpu(NEEDS) == L4


def test_a_gpu_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Gpu("Tesla V100", "7.0", "580.65.06", None, None))
    with pytest.raises(GpuNotUsable, match=r"Tesla V100 has compute capability 7\.0;.* needs 7\.5"):
        require_gpu(NEEDS)


def test_a_driver_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Gpu("NVIDIA L4", "8.9", "535.183.01", None, None))
    with pytest.raises(GpuNotUsable, match=r"is 535\.183\.01; TensorRT 11\.4\.1 .* needs 580"):
        require_gpu(NEEDS)


def test_who_has_no_gpu_is_not_asked_to_install_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "tensorrt_installed", lambda: None)

    def none() -> list[Gpu]:
        raise GpuError("there is no NVIDIA GPU here")

    monkeypatch.setattr(gpu, "find_gpus", none)
    with pytest.raises(GpuNotUsable, match="no NVIDIA GPU"):
        gpu_for_tensorrt()
    found(monkeypatch, L4)
    told = r"there is NVIDIA L4 with driver 580\.65\.06\. TensorRT is not installed"
    with pytest.raises(GpuNotUsable, match=told):
        gpu_for_tensorrt()
    monkeypatch.setattr(gpu, "tensorrt_installed", lambda: ("11.4.1", 13))
    assert gpu_for_tensorrt() == L4


def test_what_core_found_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> list[Gpu]:
        raise GpuError("nothing here")

    monkeypatch.setattr(gpu, "find_gpus", none)
    with pytest.raises(GpuNotUsable, match="nothing here"):
        require_gpu(NEEDS)


def test_of_different_gpus_one_has_to_be_named() -> None:
    assert chosen([L4, L4], {}) == L4
    with pytest.raises(GpuError, match="0: NVIDIA L4, 1: Tesla T4"):
        chosen([L4, T4], {"CUDA_VISIBLE_DEVICES": "1"})
    named = {"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert chosen([L4, T4], named) == T4


@pytest.mark.parametrize(
    ("name", "number", "driver"),
    [
        ("tensorrt_cu13", "11.4.1", (580,)),
        ("tensorrt_cu12", "10.13.3.9", (535,)),
        ("tensorrt", "11.4.1", (580,)),
    ],
)
def test_the_installed_tensorrt_says_which_driver(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    number: str,
    driver: tuple[int, ...],
) -> None:
    folder = tmp_path / f"{name}-{number}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    needs = tensorrt_needs()
    assert needs.what.startswith(f"TensorRT {number} for CUDA")
    assert (needs.compute_capability, needs.driver) == ((7, 5), driver)


def test_without_tensorrt_it_is_told_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(gpu, "version", missing)
    with pytest.raises(GpuNotUsable, match=r"sub50\[tensorrt\].*pypi\.nvidia\.com"):
        tensorrt_needs()

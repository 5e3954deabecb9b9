"""Which GPU there is, told by a stand-in for nvidia-smi in a folder of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core import gpu
from core.gpu import Gpu, GpuError, find_gpus, numbers

Program = Callable[[str], None]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """Writes the script that is nvidia-smi, the one program that can be found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(gpu, "KERNEL_DRIVER", tmp_path / "version")
    monkeypatch.setattr(gpu, "PCI_DEVICES", tmp_path / "pci")

    def write(script: str) -> None:
        path = folder / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


def test_what_the_driver_says_is_read(program: Program) -> None:
    program(
        'case "$*" in *--query-gpu=name,compute_cap,driver_version,memory.total,memory.free*) ;;'
        " *) exit 9 ;; esac\n"
        'echo "NVIDIA L4, 8.9, 580.65.06, 23034, 22000"\n'
        'echo "NVIDIA GB10, 12.1, 580.65.06, [N/A], [N/A]"'
    )
    assert find_gpus() == [
        Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * 2**20, 22000 * 2**20),
        Gpu("NVIDIA GB10", "12.1", "580.65.06", None, None),
    ]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 0", "lists no GPU"),
        (
            "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18",
            "status 18 and said: Failed to initialize NVML: Driver/library version mismatch",
        ),
        ("echo 'Tesla K80, [N/A], 470.1, 11441, 11000'", "driver of 510 or newer"),
        ("echo 'what is this'", "not name, compute_cap"),
    ],
)
def test_a_driver_that_does_not_answer_is_told(program: Program, script: str, told: str) -> None:
    program(script)
    with pytest.raises(GpuError) as caught:
        find_gpus()
    assert told in str(caught.value)
    assert "Engines for the CPU" in str(caught.value)


def test_a_driver_that_hangs_is_told(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "SECONDS", 0.2)
    # Of the shell itself, which leaves no child that would hold the pipe open.
    program("while :; do :; done")
    with pytest.raises(GpuError, match=r"did not answer within 0\.2 s"):
        find_gpus()


@pytest.mark.usefixtures("program")
def test_no_gpu_no_driver_and_no_program_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(GpuError, match="there is no NVIDIA GPU here"):
        find_gpus()
    device = tmp_path / "pci" / "0000:65:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x030200\n")
    with pytest.raises(GpuError, match=r"GPU \(PCI 0000:65:00\.0\) without its driver"):
        find_gpus()
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX  Open Kernel Module 580.65\n")
    with pytest.raises(GpuError, match=r"UNIX Open Kernel Module 580\.65\), and there is no nvidi"):
        find_gpus()


def test_a_sound_card_of_nvidia_is_no_gpu(program: Program, tmp_path: Path) -> None:
    device = tmp_path / "pci" / "0000:65:00.1"
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x10de\n")
    (device / "class").write_text("0x040300\n")
    with pytest.raises(GpuError, match="there is no NVIDIA GPU here"):
        find_gpus()


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers("580.65.06") == (580, 65, 6)
    assert numbers("535.183.01") < (580,) <= numbers("580.65.06")
    assert numbers("12.1rc2") == (12,)

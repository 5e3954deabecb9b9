"""Which NVIDIA GPUs this machine has, as its driver's own program says, or why none can be used.

`nvidia-smi` comes with the driver, and with the container toolkit in a container: asking it needs
no CUDA, no package, and no memory on the GPU.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "nvidia-smi"
FIELDS = ("name", "compute_cap", "driver_version", "memory.total", "memory.free")
SECONDS = 20
# Written by the kernel's part of the driver.
KERNEL_DRIVER = Path("/proc/driver/nvidia/version")
PCI_DEVICES = Path("/sys/bus/pci/devices")
NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASS = "0x03"
MEBIBYTE = 2**20

ON_CPU = "Engines for the CPU need no GPU, and go on serving"


class GpuError(Exception):
    """No GPU can be used here. The message says what was found, what is needed, and what to do."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. Memory is None where the driver does not say, as where it is the processor's."""

    name: str
    compute_capability: str
    driver: str
    memory_bytes: int | None
    free_bytes: int | None


def find_gpus() -> list[Gpu]:
    """The GPUs of this machine, in the order of their PCI addresses.

    Raises:
        GpuError: there is none, it has no driver, or the driver does not answer.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise GpuError(_why_no_program())
    command = [program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GpuError(
            f"{PROGRAM} did not answer within {SECONDS} s: the GPU or its driver hangs; "
            f"look at the kernel's messages (dmesg). {ON_CPU}"
        ) from error
    except OSError as error:
        raise GpuError(f"{program} cannot be run: {error.strerror}. {ON_CPU}") from error
    if asked.returncode != 0:
        said = " ".join((asked.stdout + asked.stderr).split()) or "nothing"
        raise GpuError(
            f"{PROGRAM} ended with status {asked.returncode} and said: {said[:300]}. Install a "
            "driver of 510 or newer, or restart the machine if one was just installed. "
            f"{ON_CPU}"
        )
    gpus = [_gpu(line) for line in asked.stdout.splitlines() if line.strip()]
    if not gpus:
        raise GpuError(f"{PROGRAM} lists no GPU: the driver is there and no device. {ON_CPU}")
    return gpus


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, to compare: (580, 65, 6) of `580.65.06`."""
    found = []
    for part in version.split("."):
        if not part.isdecimal():
            break
        found.append(int(part))
    return tuple(found)


def _gpu(line: str) -> Gpu:
    values = [value.strip() for value in line.split(",")]
    if len(values) != len(FIELDS) or len(numbers(values[1])) != 2:
        raise GpuError(
            f"{PROGRAM} answered {line.strip()[:200]!r}, not {', '.join(FIELDS)}: install a driver "
            f"of 510 or newer. {ON_CPU}"
        )
    name, compute_capability, driver, total, free = values
    return Gpu(name, compute_capability, driver, _bytes(total), _bytes(free))


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * MEBIBYTE if mebibytes.isdecimal() else None


def _why_no_program() -> str:
    if KERNEL_DRIVER.is_file():
        first = KERNEL_DRIVER.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
        return (
            f"the kernel has NVIDIA's driver ({' '.join(first.split())}), and there is no "
            f"{PROGRAM}: in a container, start it with NVIDIA's container toolkit (--gpus all, "
            "NVIDIA_DRIVER_CAPABILITIES=compute,utility); elsewhere install the driver's programs. "
            f"{ON_CPU}"
        )
    device = _pci_device()
    if device is not None:
        return (
            f"there is an NVIDIA GPU (PCI {device}) without its driver: no {KERNEL_DRIVER} and no "
            f"{PROGRAM}. Install NVIDIA's driver, and restart. {ON_CPU}"
        )
    return (
        f"there is no NVIDIA GPU here: no {PROGRAM}, no {KERNEL_DRIVER}, and none among the PCI "
        f"devices. Do this on a machine with a GPU and its driver. {ON_CPU}"
    )


def _pci_device() -> str | None:
    """The address of the first display device of NVIDIA's."""
    for device in sorted(PCI_DEVICES.glob("*")):
        try:
            vendor = (device / "vendor").read_text(encoding="ascii").strip()
            kind = (device / "class").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if vendor == NVIDIA_VENDOR and kind.startswith(DISPLAY_CLASS):
            return device.name
    return None

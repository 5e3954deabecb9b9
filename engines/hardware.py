"""What this machine is: the processor, its cores, the memory."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from core.card import GpuRecord, Hardware
from core.gpu import Gpu
from engines.runtimes import usable_cores

PROCESSORS = Path("/proc/cpuinfo")


def hardware(gpu: Gpu | None = None) -> Hardware:
    """This machine, as a card tells of it.

    Args:
        gpu: where the engine that was measured ran on one.
    """
    return Hardware(
        processor=processor_name(),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=_record(gpu) if gpu else None,
    )


def machine() -> str:
    """The processor and the operating system, on a line."""
    return f"{processor_name()}, {platform.platform()}"


def processor_of(line: str) -> str:
    """The processor that a line of `machine` names."""
    return line.rpartition(", ")[0] or line


def processor_name() -> str:
    """What the processor calls itself, or else its architecture."""
    if PROCESSORS.is_file():
        for line in PROCESSORS.read_text().splitlines():
            name = line.partition(":")[2].strip()
            if line.startswith("model name") and name:
                return name
    return platform.processor() or platform.machine()


def _record(gpu: Gpu) -> GpuRecord:
    return GpuRecord(
        name=gpu.name,
        compute_capability=gpu.compute_capability,
        memory_bytes=gpu.memory_bytes,
        driver=gpu.driver,
    )

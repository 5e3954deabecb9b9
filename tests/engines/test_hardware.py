"""What a machine is: read where Linux says it, and never made up."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import pytest

from core.card import GpuRecord, Hardware
from core.gpu import Gpu
from engines import hardware as described
from engines.hardware import hardware, machine, processor_name, processor_of

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8488C
stepping\t: 8
"""


def test_the_processor_is_what_linux_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(described, "PROCESSORS", tmp_path / "cpuinfo")
    assert processor_name() == (platform.processor() or platform.machine())
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert processor_name() == "Intel(R) Xeon(R) Platinum 8488C"
    # As on many ARM machines.
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nBogoMIPS\t: 48.00\n")
    assert processor_name() == (platform.processor() or platform.machine())


def test_the_line_of_a_machine_gives_its_processor_back() -> None:
    assert machine() == f"{processor_name()}, {platform.platform()}"
    assert processor_of(machine()) == processor_name()
    assert processor_of("none") == "none"


def test_this_machine_is_described() -> None:
    found = hardware()
    assert found.name == found.processor == processor_name()
    assert found.cores == len(os.sched_getaffinity(0))
    kibibytes = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    assert kibibytes is not None
    assert found.memory_bytes == pytest.approx(1024 * int(kibibytes[1]), rel=0.01)
    assert found.gpu is None


def test_figures_of_a_gpu_go_by_its_name() -> None:
    found = hardware(Gpu("NVIDIA L4", "8.9", "580.65.06", 23034 * 2**20, 2**20))
    assert found.gpu == GpuRecord(
        name="NVIDIA L4",
        compute_capability="8.9",
        memory_bytes=23034 * 2**20,
        driver="580.65.06",
    )
    assert (found.name, found.processor) == ("NVIDIA L4", processor_name())
    assert Hardware.model_validate_json(found.model_dump_json()) == found

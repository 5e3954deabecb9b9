"""PyTorch's trace, written by hand in its form: the GPU's part was recorded on none."""

from __future__ import annotations

from typing import Any

import pytest

from engines.errors import EngineError
from engines.phases import PHASES
from engines.profile_totals import between_ms, by_operator, gpu_times, phase_parts
from engines.torch_trace import steps_of


def event(category: str, name: str, ts: float, dur: float, tid: int = 1) -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur}


def step(begin: float) -> list[dict[str, Any]]:
    """A step of a millisecond: 100 us of data, 300 forward, 400 backward, 100 optimizer."""
    return [
        event("user_annotation", "data", begin, 100),
        event("user_annotation", "forward", begin + 100, 300),
        event("gpu_user_annotation", "forward", begin + 120, 300, tid=7),
        event("cpu_op", "aten::linear", begin + 110, 200),
        event("cpu_op", "aten::addmm", begin + 120, 150),
        event("cuda_runtime", "cudaLaunchKernel", begin + 130, 5),
        event("kernel", "sm90_gemm", begin + 150, 250, tid=7),
        event("user_annotation", "backward", begin + 400, 400),
        event("cpu_op", "aten::mm", begin + 410, 380, tid=2),
        event("kernel", "sm90_gemm", begin + 450, 350, tid=7),
        event("user_annotation", "optimizer", begin + 800, 100),
        event("user_annotation", "Optimizer.step#AdamW.step", begin + 810, 50),
        event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", begin + 20, 30, tid=7),
        event("gpu_memset", "Memset (Device)", begin + 810, 10, tid=7),
    ]


TRACE = [
    {"ph": "M", "name": "process_name", "pid": 1, "args": {"name": "python"}},
    {"ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "ts": 0, "dur": 9, "tid": "Traces"},
    event("cpu_op", "aten::empty", 500, 3),
    *step(1000),
    *step(2000),
    # The mark after the last step tells its end.
    event("user_annotation", "data", 3000, 1),
    event("cpu_op", "aten::empty", 3000, 3),
    {"ph": "s", "cat": "ac2g", "name": "ac2g", "id": 1, "pid": 1, "tid": 1, "ts": 1130},
]


def test_steps_reach_from_data_to_data() -> None:
    steps = steps_of(TRACE)
    assert [(each.start_us, each.length_us) for each in steps] == [(1000, 1000), (2000, 1000)]
    parts = phase_parts(steps, PHASES, "between phases")
    assert [(part.name, part.ms) for part in parts] == [
        ("data", pytest.approx(0.1)),
        ("forward", pytest.approx(0.3)),
        ("backward", pytest.approx(0.4)),
        ("optimizer", pytest.approx(0.1)),
        ("between phases", pytest.approx(0.1)),
    ]
    assert sum(part.share for part in parts) == pytest.approx(1)


def test_operators_count_without_those_inside_them() -> None:
    steps = steps_of(TRACE)
    found = {total.name: (total.calls, total.mean_us) for total in by_operator(steps, 1.0)}
    # Autograd runs on a thread of its own where there is a GPU.
    assert found == {"aten::mm": (1, 380), "aten::addmm": (1, 150), "aten::linear": (1, 50)}
    assert between_ms(steps) == pytest.approx(1 - 0.2 - 0.38)


def test_kernels_copies_and_gaps_of_a_step() -> None:
    found = gpu_times(steps_of(TRACE), 1.0)
    assert found is not None
    assert found.kernels_ms == pytest.approx(0.25 + 0.35 + 0.01)
    assert found.copies_ms == pytest.approx(0.03)
    assert found.idle_ms == pytest.approx(1 - 0.64)
    # Copy to first kernel, between kernels, and to the memset.
    assert (found.gaps, found.gaps_ms) == (3, pytest.approx(0.1 + 0.05 + 0.01))
    assert found.by_operator == []


def test_a_trace_without_a_step_is_refused() -> None:
    with pytest.raises(EngineError, match="no whole step"):
        steps_of(TRACE[:4])

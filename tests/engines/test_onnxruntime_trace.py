"""ONNX Runtime's profile, written by hand in its form: the GPU's part was recorded on none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engines.errors import EngineError
from engines.onnxruntime_trace import read_rounds, rounds_of
from engines.profile_totals import by_node, by_operator, gpu_times, joined, mean_ms
from engines.spans import COPY, KERNEL


def event(category: str, name: str, ts: int, dur: int, **args: str) -> dict[str, Any]:
    device = {"pid": -1, "tid": -1} if category == "Kernel" else {"pid": 7, "tid": 9}
    return {"cat": category, **device, "dur": dur, "ts": ts, "ph": "X", "name": name, "args": args}


def node(name: str, kind: str, ts: int, dur: int, provider: str = "CPU") -> dict[str, Any]:
    provider = f"{provider}ExecutionProvider"
    return event("Node", f"{name}_kernel_time", ts, dur, op_name=kind, provider=provider)


# Of one thread, in the order in which they end.
ON_THE_PROCESSOR = [
    event("Session", "model_loading_array", 1, 900),
    event("Session", "session_initialization", 905, 4000),
    node("dense", "MatMul", 5010, 60),
    node("norm", "LayerNormalization", 5075, 15),
    event("Session", "SequentialExecutor::Execute", 5004, 92),
    event("Session", "model_run", 5000, 100),
    event("Node", "dense_fence_before", 6009, 1, op_name="MatMul"),
    node("dense", "MatMul", 6010, 80),
    node("norm", "LayerNormalization", 6095, 25),
    event("Session", "SequentialExecutor::Execute", 6004, 122),
    event("Session", "model_run", 6000, 140),
]
GRID = {"stream": "13", "grid_x": "12", "grid_y": "1", "grid_z": "1"}
ON_A_GPU = [
    event("Session", "session_initialization", 1, 4000),
    node("dense", "MatMul", 5010, 20, "CUDA"),
    event("Kernel", "MemcpyHostToDevice", 5005, 5, stream="13"),
    event("Kernel", "sm90_gemm_f16", 5030, 40, op_name="MatMul", parent_name="dense", **GRID),
    node("norm", "LayerNormalization", 5035, 10, "CUDA"),
    event("Kernel", "layer_norm<half>", 5080, 10, op_name="LayerNormalization", **GRID),
    event("Api", "cudaLaunchKernel", 5012, 3),
    event("Kernel", "MemcpyDeviceToHost", 5090, 5, stream="13"),
    event("Session", "model_run", 5000, 100),
]


def test_calls_hold_their_operators_and_nothing_of_the_start() -> None:
    rounds = rounds_of(ON_THE_PROCESSOR)
    assert [each.length_us for each in rounds] == [100, 140]
    assert [[span.name for span in each.operators] for each in rounds] == [["dense", "norm"]] * 2
    assert [each.device for each in rounds] == [(), ()]
    assert gpu_times(rounds, mean_ms(rounds)) is None
    product, norm = by_operator(rounds, mean_ms(rounds))
    assert (product.name, product.calls, product.mean_us) == ("MatMul", 1, 70)
    assert (product.ms, product.share) == (pytest.approx(0.07), pytest.approx(70 / 120))
    assert (norm.name, norm.mean_us) == ("LayerNormalization", 20)
    assert norm.group == "norms and activations"
    assert [(each.name, each.group) for each in by_node(rounds, mean_ms(rounds))] == [
        ("dense", "MatMul"),
        ("norm", "LayerNormalization"),
    ]


def test_runs_of_one_call_count_together() -> None:
    (call,) = joined(rounds_of(ON_THE_PROCESSOR), [2])
    assert call.length_us == 240
    (product, _) = by_operator([call], 0.24)
    assert (product.calls, product.ms) == (2, pytest.approx(0.14))
    # The second run begins where the first ended.
    assert [span.start_us for span in call.operators] == [5010, 5075, 5110, 5195]


def test_a_gpus_kernels_copies_and_gaps() -> None:
    rounds = rounds_of(ON_A_GPU)
    assert [span.kind for span in rounds[0].device] == [COPY, KERNEL, KERNEL, COPY]
    found = gpu_times(rounds, 0.1)
    assert found is not None
    assert found.kernels_ms == pytest.approx(0.05)
    assert found.copies_ms == pytest.approx(0.01)
    assert found.idle_ms == pytest.approx(0.04)
    assert (found.gaps, found.gaps_ms) == (2, pytest.approx(0.03))
    assert [(gap.after, gap.before) for gap in found.longest_gaps] == [
        ("MemcpyHostToDevice", "sm90_gemm_f16"),
        ("sm90_gemm_f16", "layer_norm<half>"),
    ]
    assert [total.name for total in found.by_kernel[:2]] == ["sm90_gemm_f16", "layer_norm<half>"]
    assert [(each.name, each.mean_us) for each in found.by_operator] == [
        ("MatMul", 40),
        ("LayerNormalization", 10),
    ]


def test_what_is_no_profile_is_said(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    for contents in ("", json.dumps(ON_THE_PROCESSOR)[:-9], '[{"cat": "Node"}]', "7"):
        path.write_text(contents)
        with pytest.raises(EngineError, match="profile cannot be read"):
            read_rounds(path)
    path.write_text(json.dumps(ON_A_GPU))
    assert len(read_rounds(path)) == 1

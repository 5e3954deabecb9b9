from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from core.gpu import Gpu
from engines import cuda
from engines.errors import EngineError
from engines.graph import classifier_graph
from engines.measure import answers_alone, answers_in_batches
from engines.runtimes import (
    candidates,
    gpu_name,
    gpu_of,
    has_openvino,
    layouts,
    max_run_tokens,
    open_engine,
    run_length,
)
from tests.cpu_runtime import cpu_runtime
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_rows, tiny_weights

GPU = Gpu("NVIDIA L4", "8.9", "580.65.06", 24 * 2**30, 22 * 2**30)
with_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")


def test_layouts_share_out_the_cores_and_none_takes_more() -> None:
    assert layouts(1) == [(1, 1)]
    assert layouts(2) == [(2, 1), (1, 2), (1, 1)]
    assert layouts(4) == [(4, 1), (2, 2), (1, 4), (1, 1)]
    for cores in range(1, 65):
        assert all(threads * instances <= cores for threads, instances in layouts(cores))


def test_without_openvino_only_onnxruntime_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    assert {candidate.backend for candidate in candidates()} == {"onnxruntime"}
    with pytest.raises(EngineError, match=r"sub50\[tune\]"):
        candidates("openvino")


def test_a_choice_that_leaves_nothing_says_what_there_is() -> None:
    with pytest.raises(EngineError, match=r"no candidate is tensorrt .*onnxruntime INT8"):
        candidates("tensorrt")
    assert {candidate.precision for candidate in candidates(precision="int8")} == {"INT8"}
    assert all(c.precision != "BF16" for c in candidates("onnxruntime"))


def test_without_a_gpu_none_is_measured_and_asking_for_one_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    assert {candidate.on_gpu for candidate in candidates()} == {False}
    with pytest.raises(EngineError, match="nvidia-smi"):
        candidates("cuda")


def test_with_a_gpu_both_of_its_layouts_are_measured_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda, "require_cuda", lambda: GPU)
    on_gpu = [candidate for candidate in candidates() if candidate.on_gpu]
    assert on_gpu == candidates("cuda") == candidates(precision="fp16")
    assert [candidate.label for candidate in on_gpu] == ["cuda FP16 1x1", "cuda FP16 1x2"]
    assert {candidate.engine_file for candidate in on_gpu} == {"model.fp16.onnx"}
    assert not any(candidate.on_gpu for candidate in candidates("onnxruntime"))
    with pytest.raises(EngineError, match=r"no candidate is cuda int8; .*, cuda FP16$"):
        candidates("cuda", "int8")
    assert gpu_of(on_gpu[0]) == GPU
    assert gpu_of(candidates("onnxruntime")[0]) is None
    assert gpu_name(GPU) == "NVIDIA L4 (compute capability 8.9, driver 580.65.06)"


def fake_nvidia_smi(folder: Path, compute_capability: str, driver: str) -> None:
    program = folder / "nvidia-smi"
    line = f"NVIDIA L4, {compute_capability}, {driver}, 23034, 22000"
    program.write_text(f"#!/bin/sh\necho '{line}'\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("compute_capability", "driver", "told"),
    [
        ("7.0", "580.65.06", "compute capability 7.0; ONNX Runtime with CUDA 13 needs 7.5"),
        ("8.9", "570.10", "driver of NVIDIA L4 is 570.10; ONNX Runtime with CUDA 13 needs 580"),
        ("8.9", "580.65.06", r"there is NVIDIA L4, and onnxruntime .* `make setup-gpu`"),
    ],
)
@cpu_runtime
def test_what_a_gpu_lacks_is_said(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    compute_capability: str,
    driver: str,
    told: str,
) -> None:
    fake_nvidia_smi(tmp_path, compute_capability, driver)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match=told):
        candidates("cuda")
    assert not any(candidate.on_gpu for candidate in candidates())


def test_runs_on_a_gpu_are_longer_and_of_few_lengths() -> None:
    assert run_length("onnxruntime", "INT8", 25) == 25
    assert run_length("onnxruntime", "FP16", 25) == run_length("openvino", "INT8", 25) == 32
    runs = [("onnxruntime", "FP16"), ("onnxruntime", "INT8"), ("tensorrt", "INT8")]
    assert [max_run_tokens(*way) for way in runs] == [4096, 512, 32 * 512]
    assert run_length("tensorrt", "INT8", 25) == 32


@with_openvino
def test_openvino_is_asked_like_onnxruntime(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(classifier_graph(tiny_weights(), SHAPE, *tiny_head()), path)
    rows = tiny_rows(40)
    expected = answers_alone(open_engine(path, "onnxruntime", "FP32"), rows)
    engine = open_engine(path, "openvino", "FP32", threads=1)
    np.testing.assert_allclose(answers_alone(engine, rows), expected, atol=1e-4)
    np.testing.assert_allclose(answers_in_batches(engine, rows), expected, atol=1e-4)

"""What is asked of TensorRT, and what becomes of its answers, by a stand-in for the package.

Whether TensorRT itself takes these calls is asked by tests/engines/test_plans.py, on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core.tokenizer import pad
from engines import cuda_memory
from engines.errors import GpuNotUsable, PlanError
from engines.measure import feed
from engines.plan_shapes import profiles
from engines.tensorrt_calls import Build, PlanEngine, build_plan, tensorrt_version
from tests.engines import fake_tensorrt
from tests.engines.fake_driver import STREAM, compiled
from tests.engines.fake_tensorrt import STATE

PROFILES = profiles(512, 32)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("driver"))


@pytest.fixture(autouse=True)
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt)
    STATE.clear()
    yield
    STATE.clear()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    return Build(PROFILES, 2**20, tmp_path / "caches" / "L4.timings")


def test_a_build_is_strongly_typed_with_every_profile(build: Build) -> None:
    assert tensorrt_version() == "11.4.1.9"
    assert build_plan(b"graph", build) == b"11"
    assert STATE["graph"] == b"graph"
    assert STATE["network"] == 1 << 1
    config = STATE["config"]
    assert config.workspace == 2**20
    assert [each.shapes["input_ids"] for each in config.profiles] == [p.shapes for p in PROFILES]
    assert all(len({*each.shapes.values()}) == 1 for each in config.profiles)
    assert set(config.profiles[0].shapes) == {"input_ids", "attention_mask", "token_type_ids"}


def test_timings_of_kernels_are_kept_for_the_next_build(build: Build) -> None:
    build_plan(b"graph", build)
    assert build.timing_cache.read_bytes() == b"+"
    build_plan(b"graph", build)
    assert STATE["config"].cache.contents == b"+"
    assert build.timing_cache.read_bytes() == b"++"
    build.timing_cache.write_bytes(b"of another GPU")
    build_plan(b"graph", build)
    assert STATE["config"].cache.contents == b""
    assert [path.name for path in build.timing_cache.parent.iterdir()] == ["L4.timings"]


def test_a_graph_that_cannot_be_read_is_told_with_its_nodes(build: Build) -> None:
    with pytest.raises(PlanError, match=r"cannot read the graph: In node 0: .*; In node 1: no imp"):
        build_plan(b"nonsense", build)


def test_a_build_that_fails_says_what_tensorrt_said(build: Build) -> None:
    STATE["fails"] = "Could not find any implementation for node qkv"
    with pytest.raises(PlanError) as caught:
        build_plan(b"graph", build)
    assert str(caught.value) == (
        "TensorRT built no plan: Could not find any implementation for node qkv"
    )
    assert not build.timing_cache.exists()
    STATE.clear()
    STATE["refuses"] = True
    with pytest.raises(PlanError, match=r"refuses the profile .*: least is over best"):
        build_plan(b"graph", build)


def test_a_plan_is_run_by_the_profile_of_its_length(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY", str(library))
    engine = PlanEngine(b"11", PROFILES)
    assert engine.memory_bytes == 4096
    assert [output.name for output in engine.get_outputs()] == ["logits"]
    rows = [[5, 6, 7], [1] * 20]
    for length in (24, 32, 500, 512):
        (found,) = engine.run(None, feed(*pad(rows, length)))
        assert found.dtype == np.float32
        assert found.tolist() == [[18, 3], [20, 20]]
    assert STATE["context"].used == [1, 2, 10, 10]
    assert STATE["stream"] == STREAM


def test_memory_of_the_gpu_is_kept_from_run_to_run(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[int, int] = {}
    reserve, release = cuda_memory.Cuda.reserve, cuda_memory.Cuda.release
    reservations = []

    def counted(cuda: cuda_memory.Cuda, size_bytes: int) -> int:
        reservations.append(size_bytes)
        address = reserve(cuda, size_bytes)
        held[address] = size_bytes
        return address

    def let_go(cuda: cuda_memory.Cuda, address: int) -> None:
        del held[address]
        release(cuda, address)

    monkeypatch.setattr(cuda_memory, "LIBRARY", str(library))
    monkeypatch.setattr(cuda_memory.Cuda, "reserve", counted)
    monkeypatch.setattr(cuda_memory.Cuda, "release", let_go)
    engine = PlanEngine(b"11", PROFILES)
    for _ in range(3):
        engine.run(None, feed(*pad([[5, 6, 7]], 32)))
    assert reservations == [32 * 8] * 3 + [8]
    (shorter,) = engine.run(None, feed(*pad([[2, 3]], 16)))
    assert shorter.tolist() == [[5, 2]]
    assert len(reservations) == 4
    (longer,) = engine.run(None, feed(*pad([[5, 6, 7], [1] * 20], 64)))
    assert longer.tolist() == [[18, 3], [20, 20]]
    assert sorted(held.values()) == [16, *[2 * 64 * 8] * 3]


def test_a_plan_that_does_not_run_says_why(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_memory, "LIBRARY", str(library))
    with pytest.raises(PlanError, match="does not take the plan: the plan was built by another"):
        PlanEngine(b"of TensorRT 10", PROFILES)
    engine = PlanEngine(b"11", PROFILES)
    with pytest.raises(PlanError, match=r"does not take input_ids as \(33, 16\): it does not say"):
        engine.run(None, feed(*pad([[1]] * 33, 16)))
    STATE["stops"] = True
    with pytest.raises(PlanError, match="cannot run the plan"):
        engine.run(None, feed(*pad([[1]], 16)))


def test_without_the_package_it_is_told(monkeypatch: pytest.MonkeyPatch, build: Build) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(GpuNotUsable, match=r"TensorRT cannot be imported .*sub50\[tensorrt\]"):
        build_plan(b"graph", build)

"""Making plans: what is written, what is refused, and what is told where there is no GPU.

TensorRT itself is stood in for by ONNX Runtime, which runs the graph that TensorRT would be given.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from core.card import read_card
from core.checksums import changed_files
from core.versions import whole_card
from engines import gpu, plans
from engines.catalog import CATALOG
from engines.errors import EngineError, GateError, GpuNotUsable, PlanError
from engines.gpu import Gpu, GpuError
from engines.model_config import read_config, write_model_files
from engines.runtime_options import Precision
from engines.tensorrt_calls import Build
from service.cli import app
from service.errors import ServeError
from service.models import ModelCatalog
from service.triton.repository import check_repository
from tests.engines.tiny_plan import (
    L4,
    MEBIBYTE,
    TENSORRT,
    GraphRunner,
    tiny_subject,
    write_plan_model,
)

FILES = ["card.json", "model.onnx", "model.plan", "tokenizer.json"]


@pytest.fixture
def on_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Build]:
    """A machine with a GPU whose TensorRT makes a plan that is its graph; how it was asked to."""
    asked: list[Build] = []

    def build_plan(graph: bytes, build: Build) -> bytes:
        asked.append(build)
        return graph

    monkeypatch.setattr(plans, "gpu_for_tensorrt", lambda: L4)
    monkeypatch.setattr(plans, "tensorrt_version", lambda: TENSORRT)
    monkeypatch.setattr(plans, "build_plan", build_plan)
    monkeypatch.setattr(plans, "PlanEngine", GraphRunner)
    monkeypatch.setattr(plans, "subject_of", tiny_subject)
    monkeypatch.setattr("engines.timing.TIMED_SHAPES", ((1, 8), (2, 16)))
    monkeypatch.setattr("engines.plans.SECONDS_A_SHAPE", 0.0)
    return asked


@pytest.mark.parametrize("precision", list(Precision))
def test_a_plan_is_written_whole_with_its_card(
    tmp_path: Path, on_gpu: list[Build], precision: Precision
) -> None:
    (made,) = plans.build_plans(["topics"], tmp_path / "repository", precision)
    folder = tmp_path / "repository" / "topics"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "config.pbtxt", "labels.txt"]
    assert sorted(path.name for path in (folder / "1").iterdir()) == FILES
    assert whole_card(folder / "1") == made
    assert list(changed_files(folder / "1", made)) == []
    assert made.plan is not None
    assert (made.backend, made.precision) == ("tensorrt", precision.upper())
    assert (made.plan.gpu, made.plan.tensorrt) == ("NVIDIA L4", TENSORRT)
    assert made.plan.profiles[2] == [25, 32, 16, 32]
    assert made.tools["tensorrt"] == TENSORRT
    assert made.machine.startswith("NVIDIA L4, driver 580.65.06; ")
    assert made.hardware is not None
    assert made.hardware.name == "NVIDIA L4"
    assert [(timing.batch, timing.tokens) for timing in made.timings] == [(1, 8), (2, 16)]
    assert made.gate.passed
    assert (precision is Precision.INT8) == ("every linear layer" in made.scheme_notes[-1])
    config = read_config(folder / "config.pbtxt")
    assert len(config.instance_group[0].profile) == len(made.plan.profiles)
    (asked,) = on_gpu
    assert [list(p.shapes[2]) for p in asked.profiles][-1] == [32, 512]
    assert asked.timing_cache.name == f"NVIDIA-L4-8.9-{TENSORRT}.timings"
    # The API serves over it; the embedded Triton refuses it by name.
    assert [model.name for model in ModelCatalog.load(tmp_path / "repository").all()] == ["topics"]
    with pytest.raises(ServeError, match=r"Model topics asks for backend 'tensorrt'.*NVIDIA's"):
        check_repository(tmp_path / "repository", ["topics"])


@pytest.mark.usefixtures("on_gpu")
def test_a_plan_that_the_gate_refuses_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(GraphRunner):
        """Answers as if the plan had lost what its graph knows."""

        def run(self, names: None, feed: dict[str, object]) -> object:
            (answer,) = super().run(names, feed)
            return [answer[:, ::-1] * 9]

    monkeypatch.setattr(plans, "PlanEngine", Wrong)
    with pytest.raises(GateError, match="refuses engine topics: answers change by"):
        plans.build_plans(["topics"], tmp_path / "repository", Precision.FP16)
    assert not (tmp_path / "repository").exists()


@pytest.mark.usefixtures("on_gpu")
def test_a_failed_build_leaves_the_plan_that_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_plan_model(tmp_path)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def fails(graph: bytes, build: Build) -> bytes:
        raise PlanError("TensorRT built no plan: no kernel")

    monkeypatch.setattr(plans, "build_plan", fails)
    with pytest.raises(PlanError, match="no kernel"):
        plans.build_plans(["topics"], tmp_path, Precision.FP16)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_too_little_memory_is_told_before_anything_is_built(
    tmp_path: Path, on_gpu: list[Build], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Gpu("NVIDIA T400", "7.5", "580.65.06", 2048 * MEBIBYTE, 500 * MEBIBYTE)
    monkeypatch.setattr(plans, "gpu_for_tensorrt", lambda: small)
    with pytest.raises(PlanError, match="NVIDIA T400 has 500 MiB free of 2048"):
        plans.build_plans(["topics"], tmp_path / "repository", Precision.FP16)
    assert on_gpu == []
    assert not (tmp_path / "repository").exists()


@pytest.mark.usefixtures("on_gpu")
def test_a_repository_for_cpus_is_left_alone(tmp_path: Path) -> None:
    write_model_files(CATALOG["topics"], tmp_path)
    with pytest.raises(EngineError, match=r"served by onnxruntime: .* repository of their own"):
        plans.build_plans(["topics"], tmp_path, Precision.FP16)


@pytest.mark.parametrize(
    "command", [["build", "topics"], ["import", "CHECKPOINT", "--name", "mine"]], ids=lambda c: c[0]
)
def test_without_a_gpu_the_command_says_so_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    def none() -> list[Gpu]:
        raise GpuError("there is no NVIDIA GPU here")

    monkeypatch.setattr(gpu, "find_gpus", none)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUB50_REPOSITORY", raising=False)
    options = ["--runtime", "tensorrt", "--precision", "int8"]
    done = CliRunner().invoke(app, ["engines", *command, *options])
    assert done.exit_code == 1
    assert "error: there is no NVIDIA GPU here" in done.output
    assert not list(tmp_path.glob("model_repository*"))


@pytest.mark.usefixtures("on_gpu")
def test_plans_go_to_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUB50_REPOSITORY", raising=False)
    arguments = ["engines", "build", "topics", "--runtime", "tensorrt"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert read_card(tmp_path / "model_repository_gpu/topics/1").precision == "FP16"
    assert not (tmp_path / "model_repository").exists()
    again = CliRunner().invoke(
        app, ["engines", "build", "topics", "--repository", "model_repository_gpu"]
    )
    assert again.exit_code == 1
    assert "served by tensorrt" in again.output
    tuned = CliRunner().invoke(
        app, ["engines", "tune", "topics", "--repository", "model_repository_gpu"]
    )
    assert tuned.exit_code == 1
    assert "topics is a TensorRT plan for NVIDIA L4" in tuned.output


def test_fp16_is_refused_for_cpus(tmp_path: Path) -> None:
    arguments = ["engines", "build", "topics", "--precision", "fp16"]
    done = CliRunner().invoke(app, [*arguments, "--repository", str(tmp_path)])
    assert done.exit_code == 1
    assert "--precision fp16 is for GPUs: add --runtime cuda or tensorrt" in done.output


def real_gpu() -> str:
    """Why nothing can be built here; empty where it can."""
    try:
        gpu.gpu_for_tensorrt()
    except GpuNotUsable as error:
        return str(error)
    return ""


@pytest.mark.gpu
@pytest.mark.parametrize("precision", list(Precision))
def test_tensorrt_builds_runs_and_passes_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    if why := real_gpu():
        pytest.skip(why)
    monkeypatch.setattr(plans, "subject_of", tiny_subject)
    monkeypatch.setattr(plans, "TIMING_CACHES", tmp_path / "caches")
    (made,) = plans.build_plans(["topics"], tmp_path / "repository", precision)
    assert made.gate.passed
    assert made.plan is not None
    assert list((tmp_path / "caches").iterdir())
    graph = onnx.load(tmp_path / "repository/topics/1/model.onnx")
    assert graph.graph.output[0].name == "logits"

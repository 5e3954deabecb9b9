"""`sub50 engines tune` of a model that is served as a TensorRT plan.

TensorRT and the GPU are stand-ins, in the processes that measure too: tests/engines/gpu_machine.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from core.card import PLAN_FILE, read_card, write_card
from core.checksums import changed_files, engine_files
from core.versions import Served, whole_card, write_served
from engines import plans, tune_reference
from engines.errors import EngineError
from engines.evaluated_engine import as_served
from engines.gated_engine import gated_engine
from engines.model_config import CONFIG_FILE, is_tuned, read_config
from engines.promote import promote
from engines.runtimes import Candidate
from engines.tune_measure import BATCHES, Measurement, Point
from service.cli import app
from service.models import ModelCatalog
from tests.engines.gpu_machine import build_plan_repository, put_gpu
from tests.engines.onnx_tensorrt import STATE
from tests.engines.tiny_plan import tiny_reference, write_plan_version
from tests.tiny import card, write_model

INT8_PLAN = "model.int8.plan"
PROBES = 8


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with an FP16 plan of `topics`."""
    return build_plan_repository(tmp_path_factory.mktemp("built"))


@pytest.fixture
def model(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's folder, on a machine with the GPU and what the model was made of."""
    put_gpu(tmp_path / "machine", monkeypatch)
    monkeypatch.setattr(plans, "TIMING_CACHES", tmp_path / "caches")
    monkeypatch.setattr(tune_reference, "unquantized", lambda subject, origin: tiny_reference())
    monkeypatch.setattr("engines.material.PROBE_TEXTS", PROBES)
    shutil.copytree(built, tmp_path / "repository")
    return tmp_path / "repository" / "topics"


def tune(model: Path, *options: str) -> tuple[int, Any, str]:
    arguments = ["engines", "tune", "topics", "--repository", str(model.parent), "--json"]
    done = CliRunner().invoke(app, [*arguments, "--seconds", "0.1", "--lengths", "20", *options])
    found = json.loads(done.stdout) if done.exit_code == 0 else None
    return done.exit_code, found, " ".join(done.stderr.split())


def wins(monkeypatch: pytest.MonkeyPatch, precision: str, instances: int) -> None:
    """Have one candidate measure best, whatever the machine is busy with."""

    def measure(candidates: list[Candidate], *of: Any) -> list[Measurement]:
        def rate(way: Candidate) -> float:
            return 900.0 if (way.precision, way.instances) == (precision, instances) else 100.0

        return [
            Measurement(
                way, [Point(batch, rate(way), 1.0, 2.0, 50) for batch in BATCHES], [(20, 1)]
            )
            for way in candidates
        ]

    monkeypatch.setattr("engines.tune_measured.tune_measure.measure", measure)


def test_every_plan_is_asked_and_measured_on_the_gpu(model: Path) -> None:
    before = {path: path.read_bytes() for path in model.rglob("*") if path.is_file()}
    code, (found,), said = tune(model, "--dry-run")
    assert code == 0, said
    ways = [(each["precision"], each["instances"]) for each in found["candidates"]]
    assert ways == [("FP16", 1), ("FP16", 2), ("INT8", 1), ("INT8", 2)]
    for each in found["candidates"]:
        assert each["backend"] == "tensorrt"
        assert each["gpu"] == "NVIDIA L4 (compute capability 8.9, driver 580.65.06)"
        assert each["gate"] == {"passed": True, "reasons": []}
        assert all(point["calls"] > 0 for point in each["points"])
    assert found["left_out"] == []
    assert "tensorrt INT8 1x2" in said
    assert {path: path.read_bytes() for path in model.rglob("*") if path.is_file()} == before


def test_a_plan_of_the_other_precision_is_laid_beside_and_served(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (model / CONFIG_FILE).read_text()
    made = read_card(model / "1")
    wins(monkeypatch, "INT8", 2)
    code, _, said = tune(model)
    assert code == 0, said
    config = read_config(model / CONFIG_FILE)
    assert (config.backend, config.default_model_filename) == ("tensorrt", INT8_PLAN)
    assert config.instance_group[0].count == 2
    assert len(config.instance_group[0].profile) == 11
    assert is_tuned(model / CONFIG_FILE)
    tuned = whole_card(model / "1")
    assert tuned.tuning is not None
    assert (tuned.backend, tuned.precision) == ("tensorrt", "INT8")
    assert tuned.tuning.hardware is not None
    assert tuned.tuning.hardware.name == "NVIDIA L4"
    assert tuned.tuning.machine.startswith("NVIDIA L4 (compute capability 8.9")
    graph = onnx.load(model / "1" / INT8_PLAN)  # of the stand-in
    assert "QuantizeLinear" in {node.op_type for node in graph.graph.node}
    assert list(changed_files(model / "1", tuned)) == []
    assert [path.name for path in engine_files(model / "1", tuned)] == ["model.onnx"]
    # What judges and evaluates it takes the plan that is served.
    assert gated_engine(tuned, model / "1").ran.startswith(f"{INT8_PLAN}, by TensorRT")
    assert as_served(tuned) == Candidate("tensorrt", "INT8", 1, 2, INT8_PLAN)
    assert ModelCatalog.load(model.parent).all()[0].instances == 2
    # Tuned again, it starts from what was built; and so it goes back.
    wins(monkeypatch, "FP16", 2)
    assert tune(model)[0] == 0
    assert read_card(model / "1").precision == "FP16"
    assert read_config(model / CONFIG_FILE).default_model_filename == PLAN_FILE
    assert not (model / "1" / INT8_PLAN).exists()
    code, _, said = tune(model, "--reset")
    assert code == 0, said
    assert (model / CONFIG_FILE).read_text() == text
    assert read_card(model / "1") == made


def test_reset_from_the_other_precision(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = read_card(model / "1")
    wins(monkeypatch, "INT8", 1)
    assert tune(model)[0] == 0
    assert tune(model, "--reset")[0] == 0
    assert read_card(model / "1") == made
    assert sorted(path.name for path in (model / "1").glob("*.plan")) == [PLAN_FILE]


def test_without_what_it_was_made_of_its_own_plan_is_measured(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(subject: object, origin: object) -> None:
        raise EngineError("the adapter is gone")

    monkeypatch.setattr(tune_reference, "unquantized", gone)
    code, (found,), said = tune(model, "--dry-run")
    assert code == 0, said
    assert {each["precision"] for each in found["candidates"]} == {"FP16"}
    (line,) = found["left_out"]
    assert line == "INT8 is left out, which takes the unquantized graph: the adapter is gone"
    assert f"topics: {line}" in said
    code, _, said = tune(model, "--precision", "int8")
    assert code == 1
    assert "the adapter is gone" in said


def test_a_plan_that_cannot_be_built_is_left_out_with_the_reason(model: Path) -> None:
    STATE["fails"] = "Could not find any implementation for node qkv"
    code, (found,), said = tune(model, "--dry-run")
    assert code == 0, said
    assert {each["precision"] for each in found["candidates"]} == {"FP16"}
    assert found["left_out"] == [
        "INT8 is left out: TensorRT built no plan: Could not find any implementation for node qkv"
    ]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--runtime", "openvino"), "is a TensorRT plan, and measured by TensorRT alone"),
        (("--runtime", "cuda", "--unmeasured"), "is a TensorRT plan, and measured by TensorRT"),
        (("--precision", "bf16"), "--precision bf16: plans are fp16 or int8"),
    ],
)
def test_what_plans_are_not_is_refused(model: Path, options: tuple[str, ...], told: str) -> None:
    code, _, said = tune(model, *options)
    assert code == 1
    assert told in said


def test_without_the_gpu_nothing_is_measured(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bare"))
    code, _, said = tune(model)
    assert code == 1
    assert "TensorRT plan for NVIDIA L4, and cannot be run here: there is no NVIDIA GPU" in said


def test_an_engine_that_is_onnx_has_no_plans_and_is_told_where_they_lie(tmp_path: Path) -> None:
    version = write_model(tmp_path, card("topics"))
    code, _, said = tune(version.parent, "--runtime", "tensorrt")
    assert code == 1
    assert "TensorRT plans are served by NVIDIA's Triton alone" in said
    assert "sub50 engines evaluate NAME --against model_repository_gpu/NAME/1" in said


def test_cards_of_other_versions_follow(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version 2 in INT8 is promoted after version 1, in FP16, was tuned."""
    wins(monkeypatch, "FP16", 2)
    assert tune(model, "--precision", "fp16")[0] == 0
    assert read_card(model / "1").tuning is not None
    shutil.copytree(model / "1", model / "2")
    second = read_card(model / "2").model_copy(
        update={"version": "2", "precision": "INT8", "tuning": None}
    )
    write_card(second, model / "2")
    write_served(model, Served(version="2", previous=("1",)))
    wins(monkeypatch, "INT8", 1)
    assert tune(model, "--precision", "int8")[0] == 0
    first = read_card(model / "1")
    assert first.tuning is not None
    assert (first.precision, first.tuning.precision, first.tuning.instances) == ("FP16", "FP16", 1)
    wins(monkeypatch, "FP16", 1)
    assert tune(model)[0] == 0
    first = read_card(model / "1")
    assert (first.backend, first.precision, first.tuning) == ("tensorrt", "FP16", None)


def test_a_candidate_without_the_tuned_plan_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wins(monkeypatch, "INT8", 1)
    assert tune(model)[0] == 0
    write_plan_version(tmp_path / "made" / "1", b"better")
    with pytest.raises(EngineError, match=r"lacks model\.int8\.plan, which topics was tuned to"):
        promote("topics", str(tmp_path / "made" / "1"), model.parent)

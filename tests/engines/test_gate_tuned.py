"""`sub50 engines gate` of a tuned version: judged is what is served, or it says what was not run.

Version 1 of `topics` has a graph of random weights for its INT8 engine, and is tuned for real.
"""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest

from core.card import ENGINE_FILE, read_card
from core.versions import Served, write_served
from engines import gate_command
from engines.catalog import CATALOG
from engines.errors import EngineError
from engines.evaluated_engine import open_for_evaluation
from engines.model_config import write_model_files
from engines.promote import promote
from engines.runtimes import (
    GPU_FILE,
    REFERENCE_FILE,
    Candidate,
    OpenVinoEngine,
    has_openvino,
    multiplies_bf16,
)
from tests.cpu_runtime import cpu_runtime
from tests.engines.gpu_machine import write_nvidia_smi
from tests.engines.tiny_plan import L4, tiny_reference
from tests.engines.tuned_repository import (
    QUICK,
    gate,
    put_other,
    serve_by,
    tune,
    without_openvino,
    write_built,
)

with_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
PROBES = 8
AS_BUILT = "model.onnx, by ONNX Runtime on the processor"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`topics` as it was built, with what it was made of at hand."""
    monkeypatch.setattr(gate_command.base, "ensure_base", lambda folder: folder)
    monkeypatch.setattr(gate_command, "ingredients_of", lambda *of: None)
    monkeypatch.setattr(gate_command, "_require_same_origin", lambda *of: None)
    monkeypatch.setattr(gate_command, "reference_graph", lambda of: tiny_reference())
    monkeypatch.setattr("engines.tune_reference.unquantized", lambda *of: tiny_reference())
    monkeypatch.setattr("engines.material.PROBE_TEXTS", PROBES)
    folder = tmp_path / "repository"
    write_model_files(CATALOG["topics"], folder)
    write_built(folder / "topics" / "1")
    return folder


def test_an_fp32_engine_is_judged_itself_and_not_the_one_beside_it(repository: Path) -> None:
    tune(repository, *QUICK, "--runtime", "onnxruntime", "--precision", "fp32")
    version = repository / "topics" / "1"
    put_other(version, ENGINE_FILE)  # which nobody serves
    code, found, said = gate(repository)
    assert (code, found["passed"], found["reasons"]) == (0, True, []), said
    assert found["ran"] == "model.fp32.onnx, by ONNX Runtime in FP32 on the processor"
    assert found["drift"]["mean_change"] == pytest.approx(0, abs=1e-5)
    assert f"topics 1 passes the gate ({found['ran']})." in said
    onnx.save(tiny_reference(), version / ENGINE_FILE)
    code, found, _ = gate(repository)
    (reason,) = found["reasons"]
    assert (code, reason) == (1, "model.onnx is not the file that the card was made for")


def test_another_graph_under_the_tuned_name_is_refused(repository: Path) -> None:
    tune(repository, *QUICK, "--runtime", "onnxruntime", "--precision", "fp32")
    version = repository / "topics" / "1"
    put_other(version, REFERENCE_FILE)  # the card has its checksum
    code, found, said = gate(repository)
    assert (code, found["passed"]) == (1, False)
    assert "answers change by" in found["reasons"][0]
    assert "against the unquantized graph" in found["reasons"][0]
    assert found["ran"].startswith("model.fp32.onnx, by ONNX Runtime in FP32")
    assert "topics 1 is refused: answers change by" in said
    # And as it was built, it passes as ever.
    tune(repository, "--reset")
    code, found, _ = gate(repository)
    assert (code, found["passed"], found["ran"]) == (0, True, AS_BUILT)


def test_a_tuned_file_that_is_not_there_or_may_not_be_opened_is_named(repository: Path) -> None:
    tune(repository, *QUICK, "--runtime", "onnxruntime", "--precision", "fp32")
    version = repository / "topics" / "1"
    engine = (version / REFERENCE_FILE).read_bytes()
    (version / REFERENCE_FILE).write_bytes(engine[: len(engine) // 2])
    with pytest.raises(EngineError, match=r"model\.fp32\.onnx"):
        gate_command.run_gate("topics", None, repository)
    (version / REFERENCE_FILE).unlink()
    with pytest.raises(EngineError, match=r"1 lacks model\.fp32\.onnx.*engines tune topics`"):
        gate_command.run_gate("topics", None, repository)


def test_threads_alone_change_no_file(repository: Path) -> None:
    tune(repository, *QUICK, "--runtime", "onnxruntime", "--precision", "int8")
    code, found, said = gate(repository)
    assert (code, found["passed"]) == (0, True), said
    assert found["ran"] == "model.onnx, by ONNX Runtime in INT8 on the processor"
    put_other(repository / "topics" / "1", ENGINE_FILE)
    assert gate(repository)[0] == 1


@with_openvino
def test_an_engine_for_openvino_is_run_by_it(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(repository, *QUICK, "--runtime", "openvino", "--precision", "int8")
    asked = []

    class Watched(OpenVinoEngine):
        def __init__(self, path: Path, precision: str, threads: int, profiled: bool) -> None:
            super().__init__(path, precision, threads, profiled)
            asked.append((path.name, precision, threads))

    monkeypatch.setattr("engines.runtimes.OpenVinoEngine", Watched)
    code, found, said = gate(repository)
    assert (code, found["passed"], found["reasons"]) == (0, True, []), said
    assert found["ran"] == "model.onnx, by OpenVINO in INT8 on the processor"
    tuning = read_card(repository / "topics" / "1").tuning
    assert tuning is not None
    assert asked == [(ENGINE_FILE, "INT8", tuning.threads)]
    put_other(repository / "topics" / "1", ENGINE_FILE)
    assert gate(repository)[0] == 1


@with_openvino
def test_bf16_is_asked_in_bf16(repository: Path) -> None:
    if not multiplies_bf16():
        pytest.skip("this processor has no BF16 instructions")
    tune(repository, *QUICK, "--runtime", "openvino", "--precision", "bf16")
    code, found, said = gate(repository)
    assert found["ran"] == "model.fp32.onnx, by OpenVINO in BF16 on the processor", said
    # Of FP32 the change is under a hundred thousandth.
    assert found["drift"]["mean_change"] > 1e-4
    assert (code == 0) == found["passed"]


def test_without_openvino_its_engine_is_not_judged_and_its_graph_is_told_of(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_by(repository, Candidate("openvino", "INT8", 1, 2))
    without_openvino(monkeypatch)
    code, found, said = gate(repository)
    assert (code, found["passed"]) == (1, False)
    (reason,) = found["reasons"]
    assert reason.startswith(
        "what is served, model.onnx by OpenVINO in INT8, was not run: OpenVINO is not installed"
    )
    assert found["ran"] == AS_BUILT
    assert found["drift"]["texts"] == PROBES
    assert "topics 1 is not judged, because what is served, model.onnx by OpenVINO in INT8," in said
    assert f"Its graph alone ({AS_BUILT}) passes the gate; ask again on a machine" in said
    with pytest.raises(EngineError, match=r"for openvino INT8.* OpenVINO is not installed"):
        open_for_evaluation(repository / "topics" / "1")


def test_bf16_is_not_judged_by_a_processor_that_has_none(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_by(repository, Candidate("openvino", "BF16", 1, 2))
    monkeypatch.setattr("engines.runtimes.has_openvino", lambda: True)
    monkeypatch.setattr("engines.runtimes.multiplies_bf16", lambda: False)
    code, found, _ = gate(repository)
    assert (code, found["passed"]) == (1, False)
    assert found["reasons"][0].startswith(
        "what is served, model.fp32.onnx by OpenVINO in BF16, was not run: the processor here has "
        "no BF16 instructions"
    )
    assert found["ran"] == "model.fp32.onnx, by ONNX Runtime on the processor"


def test_an_engine_for_a_gpu_is_not_judged_without_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(repository, "--runtime", "cuda", "--unmeasured")
    (tmp_path / "bare").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bare"))  # no nvidia-smi
    code, found, said = gate(repository)
    assert (code, found["passed"]) == (1, False)
    (reason,) = found["reasons"]
    assert reason.startswith(
        "what is served, model.fp16.onnx by ONNX Runtime in FP16, was not run: there is no NVIDIA"
    )
    # What FP16 did to the weights shows all the same, and is no verdict.
    assert found["ran"] == "model.fp16.onnx, by ONNX Runtime on the processor"
    assert found["drift"]["mean_change"] > 1e-6
    assert "Its graph alone (model.fp16.onnx, by ONNX Runtime on the processor) passes" in said
    put_other(repository / "topics" / "1", GPU_FILE)
    reasons = gate(repository)[1]["reasons"]
    assert len(reasons) == 2
    assert "answers change by" in reasons[1]


@cpu_runtime
def test_the_onnx_runtime_for_processors_is_no_gpu(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune(repository, "--runtime", "cuda", "--unmeasured")
    (tmp_path / "machine").mkdir()
    write_nvidia_smi(tmp_path / "machine", L4)
    monkeypatch.setenv("PATH", f"{tmp_path / 'machine'}:{os.environ['PATH']}")
    code, found, _ = gate(repository)
    assert (code, found["passed"]) == (1, False)
    assert "there is NVIDIA L4, and onnxruntime" in found["reasons"][0]
    assert "`make setup-gpu`" in found["reasons"][0]


def test_a_version_promoted_after_a_tuning_is_asked_as_it_is_served(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its card knows of no tuning, and config.pbtxt has OpenVINO run it."""
    serve_by(repository, Candidate("openvino", "INT8", 1, 2))
    write_built(tmp_path / "made" / "topics" / "1")
    promote("topics", str(tmp_path / "made" / "topics" / "1"), repository)
    assert read_card(repository / "topics" / "2").tuning is None
    without_openvino(monkeypatch)
    code, found, _ = gate(repository)
    assert (code, found["version"], found["passed"]) == (1, "2", False)
    assert "by OpenVINO in INT8, was not run" in found["reasons"][0]
    # Where it was made, nothing is tuned.
    write_model_files(CATALOG["topics"], tmp_path / "made")
    code, found, _ = gate(tmp_path / "made")
    assert (code, found["passed"], found["ran"]) == (0, True, AS_BUILT)


def test_a_version_without_the_tuned_file_is_judged_as_built(repository: Path) -> None:
    """It cannot be promoted before `tune --reset`, and is served so after it."""
    tune(repository, *QUICK, "--runtime", "onnxruntime", "--precision", "fp32")
    write_built(repository / "topics" / "2")
    write_served(repository / "topics", Served(version="1"))
    code, found, _ = gate(repository, "2")
    assert (code, found["passed"], found["ran"]) == (0, True, AS_BUILT)
    assert gate(repository)[1]["ran"].startswith("model.fp32.onnx, by ONNX Runtime in FP32")

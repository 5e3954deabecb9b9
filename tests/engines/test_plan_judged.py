"""Of whose answers a verdict on a TensorRT plan is read: the plan's own, or it says otherwise.

TensorRT and the GPU are stand-ins (tests/engines/gpu_machine.py); a plan of theirs is its graph.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from core.card import PLAN_FILE, Plan, read_card, write_card
from core.gpu import Gpu
from engines import gate_command
from engines.checksums import file_sha256
from engines.engine_folder import engine_card
from engines.errors import EngineError
from engines.summarizer import Summarizer
from service.cli import app
from tests.engines import onnx_tensorrt
from tests.engines.gpu_machine import build_plan_repository, put_gpu, write_nvidia_smi
from tests.engines.tiny_plan import L4, tiny_reference
from tests.engines.tiny_summarizer import write_summarizer
from tests.engines.word_engine import write_word_engine

T4 = Gpu("Tesla T4", "7.5", "580.65.06", None, None)
PROBES = 8


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a plan of `topics`, made on a machine with a GPU."""
    return build_plan_repository(tmp_path_factory.mktemp("built"))


@pytest.fixture
def repository(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of its own for each test, with what the model was made of at hand."""
    monkeypatch.setattr(gate_command.base, "ensure_base", lambda folder: folder)
    monkeypatch.setattr(gate_command, "ingredients_of", lambda *of: None)
    monkeypatch.setattr(gate_command, "_require_same_origin", lambda *of: None)
    monkeypatch.setattr(gate_command, "reference_graph", lambda of: tiny_reference())
    monkeypatch.setattr("engines.material.PROBE_TEXTS", PROBES)
    shutil.copytree(built, tmp_path / "repository")
    return tmp_path / "repository"


def without_gpu(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Nothing on the path, nvidia-smi neither."""
    folder.mkdir()
    patch.setenv("PATH", str(folder))


def put_plan(version: Path, graph: onnx.ModelProto) -> None:
    """Put another plan into a version folder, as if it had been built so."""
    onnx.save(graph, version / PLAN_FILE)
    card = read_card(version)
    assert card.plan is not None
    plan = card.plan.model_copy(update={"plan_sha256": file_sha256(version / PLAN_FILE)})
    write_card(card.model_copy(update={"plan": plan}), version)


def gate(repository: Path) -> tuple[int, dict[str, Any], str]:
    arguments = ["engines", "gate", "topics", "--repository", str(repository), "--json"]
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, json.loads(done.stdout), done.stderr


def test_where_it_can_be_run_the_plan_itself_is_judged(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(tmp_path / "machine", monkeypatch)
    code, found, said = gate(repository)
    assert (code, found["passed"], found["reasons"]) == (0, True, []), said
    assert found["ran"] == f"model.plan, by TensorRT {onnx_tensorrt.__version__} on NVIDIA L4"
    assert f"topics 1 passes the gate ({found['ran']})." in said
    # Its graph is as good as before.
    put_plan(repository / "topics" / "1", tiny_reference(seed=9))
    code, found, _ = gate(repository)
    assert (code, found["passed"]) == (1, False)
    assert "answers change by" in found["reasons"][0]


def test_what_was_not_run_does_not_pass_and_its_graph_is_told_of(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_gpu(tmp_path / "bare", monkeypatch)
    code, found, said = gate(repository)
    assert (code, found["passed"]) == (1, False)
    (reason,) = found["reasons"]
    assert reason.startswith(
        "the plan itself was not run: version 1 of topics is a TensorRT plan for NVIDIA L4, and "
        "cannot be run here: there is no NVIDIA GPU here"
    )
    assert found["ran"] == "model.onnx, by ONNX Runtime on the processor"
    assert found["drift"]["texts"] == PROBES
    assert "topics 1 is not judged, because the plan itself was not run" in said
    assert f"Its graph alone ({found['ran']}) passes the gate; ask again on a machine" in said


def test_a_plan_for_another_gpu_is_not_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(tmp_path / "machine", monkeypatch)
    write_nvidia_smi(tmp_path / "machine", T4)
    code, found, _ = gate(repository)
    assert (code, found["passed"]) == (1, False)
    assert "its plan was built for NVIDIA L4, this machine has Tesla T4" in found["reasons"][0]


def plan_of(version: Path) -> Plan:
    """A version folder's engine as its plan too, and the card's field on it."""
    shutil.copyfile(version / "model.onnx", version / PLAN_FILE)
    plan = Plan(
        plan_sha256=file_sha256(version / PLAN_FILE),
        plan_bytes=(version / PLAN_FILE).stat().st_size,
        gpu=L4.name,
        compute_capability=L4.compute_capability,
        driver=L4.driver,
        tensorrt=onnx_tensorrt.__version__,
        profiles=[[1, 512, 1, 32]],
    )
    changes = {"plan": plan, "backend": "tensorrt", "precision": "FP16"}
    write_card(read_card(version).model_copy(update=changes), version)
    return plan


def evaluate(repository: Path, report: Path, *options: str) -> Any:
    arguments = ["engines", "evaluate", "tiny", "--repository", str(repository), "--json"]
    arguments += ["--report", str(report), "--seconds", "0.1", *options]
    return CliRunner().invoke(app, arguments)


def test_a_plan_is_evaluated_by_its_own_answers_and_times_beside_a_served_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_gpu(tmp_path / "machine", monkeypatch)
    weights = {"good": (0.0, 2.0), "bad": (2.0, 0.0)}
    served = write_word_engine(tmp_path / "served" / "tiny" / "1", weights)
    version = write_word_engine(tmp_path / "gpu" / "tiny" / "1", weights)
    # The plan knows a word more than the graph beside it.
    other = write_word_engine(tmp_path / "other" / "tiny" / "1", weights | {"film": (0.0, 1.0)})
    plan_of(version)
    put_plan(version, onnx.load(other / "model.onnx"))
    data = tmp_path / "labelled.csv"
    data.write_text("text,label\n" + "good,positive\nbad,negative\nfilm,positive\n" * 10)
    options = ("--data", str(data), "--against", str(served))
    done = evaluate(tmp_path / "gpu", tmp_path / "report", *options)
    assert done.exit_code == 0, done.stderr
    record = json.loads(done.stdout)
    engine, against = record["engine"], record["against"]
    assert engine["quality"][0]["accuracy"] == 1.0
    assert against["quality"][0]["accuracy"] == pytest.approx(2 / 3)
    assert engine["engine_sha256"] == file_sha256(version / PLAN_FILE)
    assert engine["changed_files"] == []
    assert (engine["speed"]["backend"], engine["precision"]) == ("tensorrt", "FP16")
    assert engine["speed"]["machine"].startswith(
        "NVIDIA L4 (compute capability 8.9, driver 580.65.06); "
    )
    assert against["speed"]["backend"] == "onnxruntime"
    said = " ".join(done.stderr.split())
    assert "by tensorrt FP16 on NVIDIA L4 (compute capability 8.9, driver 580.65.06); " in said
    assert "tiny 1 (against), one text: P50 " in said
    page = (tmp_path / "report" / "evaluation.html").read_text()
    assert "Machine of tiny 1: NVIDIA L4 (compute capability 8.9" in page
    assert "Machine of tiny 1 (against): " in page
    assert all(calls["calls"] > 0 for calls in engine["speed"]["calls"])


def test_a_plan_that_cannot_be_run_is_not_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_of(write_word_engine(tmp_path / "gpu" / "tiny" / "1", {"good": (0.0, 2.0)}))
    without_gpu(tmp_path / "bare", monkeypatch)
    done = evaluate(tmp_path / "gpu", tmp_path / "report")
    assert done.exit_code == 1
    assert "version 1 of tiny is a TensorRT plan for NVIDIA L4, and cannot be run here" in (
        " ".join(done.stderr.split())
    )
    assert not (tmp_path / "report").exists()
    (tmp_path / "gpu" / "tiny" / "1" / PLAN_FILE).unlink()
    with pytest.raises(EngineError, match=r"lacks model\.plan"):
        engine_card(tmp_path / "gpu" / "tiny" / "1")


def test_summaries_are_those_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = write_summarizer(tmp_path / "gpu", "general")
    texts = ["The Buyer pays the fee.", "Late fees are due at once.", "Delaware law governs."]
    plan_of(version)
    with pytest.raises(EngineError, match="cannot be run here"):
        Summarizer(version)
    put_gpu(tmp_path / "machine", monkeypatch)
    before, _ = Summarizer(version).rank(texts)
    put_plan(version, onnx.load(write_summarizer(tmp_path / "o", "general", seed=5) / "model.onnx"))
    after, _ = Summarizer(version).rank(texts)
    assert before.shape == after.shape == (3,)
    assert (before != after).any()

"""`sub50 engines tune --runtime cuda --unmeasured`: for a GPU elsewhere, judged here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from core.card import ENGINE_FILE, Timing, read_card
from core.checksums import file_sha256
from core.onnx_file import check_engine_file
from core.versions import served_folder
from engines.cli import engines_app
from engines.deliver import Fit, deliver
from engines.gpu_graph import attention_nodes
from engines.graph import classifier_graph
from engines.model_config import CONFIG_FILE, read_config
from engines.padded_graph import keeping_padding
from engines.runtimes import GPU_FILE
from tests.engines.test_tune_imported import import_tiny
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_weights

TIMES = [
    Timing(
        batch=batch,
        tokens=tokens,
        threads=2,
        p50_ms=1 + 0.02 * batch * tokens,
        p99_ms=9,
        texts_per_second=1,
        reference_p50_ms=1,
    )
    for batch, tokens in ((1, 32), (8, 128))
]
WANTED = ("--runtime", "cuda", "--unmeasured")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An imported model whose INT8 engine is unquantized, which makes no difference here."""
    import_tiny(tmp_path / "models", timings=TIMES)
    return tmp_path / "models"


@pytest.fixture
def checkpoint_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its unquantized graph, without PyTorch to make it."""
    graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    monkeypatch.setattr("engines.tune_reference.unquantized", lambda subject, origin: graph)


def tune(repository: Path, *arguments: str) -> Any:
    command = ["tune", "mine", *arguments, "--repository", str(repository), "--json"]
    return CliRunner().invoke(engines_app, command)


@pytest.mark.usefixtures("checkpoint_is_there")
def test_it_is_written_for_a_gpu_and_taken_back(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.tune_command.has_openvino", lambda: False)
    folder = repository / "mine"
    before = (folder / CONFIG_FILE).read_text()
    done = tune(repository, *WANTED)
    assert done.exit_code == 0, done.stderr
    assert "Measured nowhere" in done.stderr
    assert "OpenVINO" not in done.stderr, "it was not asked for"
    (told,) = json.loads(done.stdout)
    assert told["left_out"] == []
    assert told["winner"]["precision"] == "FP16"
    assert told["line_overhead_ms"] == pytest.approx(1, abs=0.01)

    engine = folder / "1" / GPU_FILE
    assert attention_nodes(onnx.load(engine)) == SHAPE.layers
    check_engine_file(engine)
    card = read_card(folder / "1")
    assert card.precision == "FP16"
    assert card.tuning is not None
    assert card.tuning.engine_sha256 == file_sha256(engine)
    assert card.tuning.machine.startswith("no GPU, not measured; ")
    assert card.tuning.candidates == []
    assert read_config(folder / CONFIG_FILE).default_model_filename == GPU_FILE

    delivered = deliver(repository, tmp_path / "delivered", None, Fit(device="gpu"))
    assert f"mine/1/{GPU_FILE}" in delivered
    assert served_folder(tmp_path / "delivered" / "mine") is not None

    assert tune(repository, "--reset").exit_code == 0
    assert (folder / CONFIG_FILE).read_text() == before
    assert not engine.exists()
    assert (folder / "1" / ENGINE_FILE).is_file()


def test_attention_that_is_left_as_exported_is_said(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own attention with padding kept is written unlike any exporter's."""
    graph = keeping_padding(classifier_graph(tiny_weights(), SHAPE, *tiny_head()))
    monkeypatch.setattr("engines.tune_reference.unquantized", lambda subject, origin: graph)
    done = tune(repository, *WANTED)
    assert done.exit_code == 0, done.stderr
    said = f"on a GPU, {SHAPE.layers} of {SHAPE.layers} layers run their attention as it was"
    assert f"mine: {said}" in done.stderr
    (told,) = json.loads(done.stdout)
    assert [line.startswith(said) for line in told["left_out"]] == [True]


@pytest.mark.usefixtures("checkpoint_is_there")
def test_the_gate_refuses_a_graph_that_answers_otherwise(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head_weight, head_bias = tiny_head()
    other = classifier_graph(tiny_weights(7), SHAPE, -head_weight, head_bias)
    monkeypatch.setattr("engines.tune.gpu_graph", lambda reference, most: other)
    before = (repository / "mine" / CONFIG_FILE).read_text()
    refused = tune(repository, *WANTED)
    assert refused.exit_code == 1
    assert "the gate refuses every candidate" in refused.stderr
    assert (repository / "mine" / CONFIG_FILE).read_text() == before
    assert not (repository / "mine" / "1" / GPU_FILE).exists()


def test_without_its_checkpoint_there_is_nothing_to_make_it_of(repository: Path) -> None:
    refused = tune(repository, *WANTED)
    assert refused.exit_code == 1
    assert "mine: FP32 and BF16 are left out" in refused.stderr


@pytest.mark.parametrize("options", [("--unmeasured",), ("--unmeasured", "--runtime", "openvino")])
def test_it_is_for_a_gpu_alone(repository: Path, options: tuple[str, ...]) -> None:
    refused = tune(repository, *options)
    assert refused.exit_code == 1
    assert "say --runtime cuda with it" in refused.stderr

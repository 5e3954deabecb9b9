"""`sub50 engines build|import --runtime cuda`: made as ever, then served from the GPU.

There is no GPU: what it would answer and take is not asked, as with `tune --unmeasured`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.card import EngineCard, read_card
from engines import cuda_made, gpu
from engines.cuda_made import made_for_cuda
from engines.errors import EngineError, GpuNotUsable
from engines.gpu import Gpu, GpuError
from engines.graph import classifier_graph
from engines.model_config import CONFIG_FILE, read_config
from engines.runtimes import GPU_FILE
from engines.tune_choice import Choice
from service.cli import app
from tests.engines.test_tune_imported import import_tiny
from tests.engines.test_tune_unmeasured import TIMES
from tests.engines.tiny_encoder import SHAPE, tiny_head, tiny_weights
from tests.engines.tiny_plan import L4


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that was just imported, on a machine whose GPU is believed."""
    graph = classifier_graph(tiny_weights(), SHAPE, *tiny_head())
    monkeypatch.setattr("engines.tune_reference.unquantized", lambda subject, origin: graph)
    monkeypatch.setattr(cuda_made, "require_cuda", lambda: L4)
    monkeypatch.setattr(cuda_made, "Choice", partial(Choice, unmeasured=True))
    import_tiny(tmp_path / "models", timings=TIMES)
    return tmp_path / "models"


def test_what_was_made_is_served_from_the_gpu(repository: Path) -> None:
    (card,) = made_for_cuda(lambda: [read_card(repository / "mine" / "1")], repository)
    assert card.precision == "FP16"
    assert card == read_card(repository / "mine" / "1")
    assert read_config(repository / "mine" / CONFIG_FILE).default_model_filename == GPU_FILE


def test_what_was_made_stays_where_the_gate_refuses_the_gpu(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, bias = tiny_head()
    other = classifier_graph(tiny_weights(7), SHAPE, -weight, bias)
    monkeypatch.setattr("engines.tune.gpu_graph", lambda reference, most: other)
    before = (repository / "mine" / CONFIG_FILE).read_text()
    with pytest.raises(EngineError, match="the gate refuses every candidate"):
        made_for_cuda(lambda: [read_card(repository / "mine" / "1")], repository)
    assert (repository / "mine" / CONFIG_FILE).read_text() == before
    assert read_card(repository / "mine" / "1").precision != "FP16"


def test_without_a_gpu_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EngineCard] = []

    def make() -> list[EngineCard]:
        made.append(read_card(tmp_path))
        return made

    monkeypatch.setattr(gpu, "find_gpus", no_gpus)
    with pytest.raises(GpuNotUsable, match="there is no NVIDIA GPU here"):
        made_for_cuda(make, tmp_path)
    assert not made


@pytest.mark.parametrize(
    "command", [["build", "topics"], ["import", "CHECKPOINT", "--name", "mine"]], ids=lambda c: c[0]
)
def test_the_commands_say_so_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(gpu, "find_gpus", no_gpus)
    options = ["--runtime", "cuda", "--repository", str(tmp_path / "models")]
    done = CliRunner().invoke(app, ["engines", *command, *options])
    assert done.exit_code == 1
    assert "error: there is no NVIDIA GPU here" in done.output
    assert not (tmp_path / "models").exists()


def test_int8_is_left_to_tensorrt(tmp_path: Path) -> None:
    arguments = ["engines", "build", "topics", "--runtime", "cuda", "--precision", "int8"]
    done = CliRunner().invoke(app, [*arguments, "--repository", str(tmp_path)])
    assert done.exit_code == 1
    assert "--precision int8 on a GPU is TensorRT's" in done.output


def no_gpus() -> list[Gpu]:
    raise GpuError("there is no NVIDIA GPU here")

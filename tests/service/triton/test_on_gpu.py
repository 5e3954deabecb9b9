"""A model whose file asks for a GPU, as NVIDIA's container reads it, on the embedded Triton."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from core import onnx_runtime, sub50_cuda
from engines.catalog import CATALOG
from engines.model_config import config_text, model_config, tuned_config
from engines.runtimes import Candidate
from service.errors import ServeError
from service.models import ModelCatalog, load_version
from service.triton.allowed import PARAMETERS
from service.triton.reasons import not_served
from service.triton.repository import check_repository, embedded_config
from tests.cpu_runtime import cpu_runtime
from tests.tiny_models import tiny_engine, write_own_card, write_tiny_model

MODEL = "topics"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A model that was tuned to a GPU; its engine is another, which nobody opens here."""
    folder = write_tiny_model(tmp_path, MODEL)
    config = tuned_config(CATALOG[MODEL], Candidate("onnxruntime", "FP16", 1, 2), 40)
    (folder / "config.pbtxt").write_text(config_text(config, tuned_model=MODEL))
    (folder / "labels.txt").write_text("World\nSports\nBusiness\nSci/Tech\n")
    (folder / "1" / "model.fp16.onnx").write_bytes(tiny_engine().SerializeToString())
    write_own_card(folder / "1", served="model.fp16.onnx")
    return tmp_path


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = dict.fromkeys(names, "1.31.1")
    monkeypatch.setattr(onnx_runtime, "installed_runtimes", lambda path=None: found)


def test_with_the_runtime_for_gpus_it_may_be_served(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.GPU)
    check_repository(repository, [MODEL])


def test_without_it_the_start_says_what_to_do(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.CPU)
    with pytest.raises(ServeError) as caught:
        check_repository(repository, [MODEL])
    told = str(caught.value)
    assert "topics asks for a GPU, for which onnxruntime-gpu is needed" in told
    assert "what is installed is onnxruntime 1.31.1" in told
    assert "`make setup-gpu`" in told
    assert "`sub50 engines tune topics --reset`" in told


def test_its_engine_for_processors_may_stand_in(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.CPU)
    (repository / MODEL / "1" / "model.fp16.onnx").unlink()  # it needs nothing of that
    stand_ins = check_repository(repository, [MODEL], may_stand_in=True)
    assert list(stand_ins) == [MODEL]
    assert "`make setup-gpu`" in stand_ins[MODEL]


def test_without_an_engine_for_processors_nothing_stands_in(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.CPU)
    (repository / MODEL / "1" / "model.onnx").unlink()
    with pytest.raises(ServeError, match="topics asks for a GPU, for which onnxruntime-gpu"):
        check_repository(repository, [MODEL], may_stand_in=True)


def test_where_there_is_a_gpu_nothing_stands_in(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.GPU)
    assert check_repository(repository, [MODEL], may_stand_in=True) == {}


def test_what_stands_in_is_loaded_like_an_engine_that_nobody_tuned(repository: Path) -> None:
    stands_in = embedded_config(repository / MODEL, ["1"], on_processors=True)
    (repository / MODEL / "config.pbtxt").write_text(config_text(model_config(CATALOG[MODEL])))
    untuned = json_format.Parse(
        embedded_config(repository / MODEL, ["1"]), model_config_pb2.ModelConfig()
    )
    untuned.default_model_filename = "model.onnx"
    assert json_format.Parse(stands_in, model_config_pb2.ModelConfig()) == untuned


def test_its_card_is_that_of_the_engine_that_is_run(repository: Path) -> None:
    (tuned,) = ModelCatalog.load(repository).all()
    (model,) = ModelCatalog.load(repository, {MODEL}).all()
    assert tuned.card.tuning is not None
    assert model.stands_in
    assert model.card == tuned.card.as_built()
    assert (model.card.tuning, model.card.precision, model.instances) == (None, "INT8", 1)
    again = load_version(repository / MODEL / "1", model)
    assert again.stands_in
    assert again.card == model.card


def test_a_runtime_of_processors_is_not_put_on_a_gpu(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, onnx_runtime.GPU)
    monkeypatch.setattr("service.triton.repository.package_folder", lambda name: Path(name))
    path = repository / MODEL / "config.pbtxt"
    path.write_text(path.read_text().replace('"onnxruntime"', '"openvino"'))
    with pytest.raises(ServeError, match="asks for a GPU and for openvino, which runs on process"):
        check_repository(repository, [MODEL])


def test_triton_is_told_of_processors_and_the_backend_of_the_gpu(repository: Path) -> None:
    text = embedded_config(repository / MODEL)
    config = json_format.Parse(text, model_config_pb2.ModelConfig())
    kinds = model_config_pb2.ModelInstanceGroup
    assert [(group.kind, group.count) for group in config.instance_group] == [(kinds.KIND_CPU, 2)]
    assert not config.optimization.HasField("execution_accelerators")
    told = {key: value.string_value for key, value in config.parameters.items()}
    assert told["execution_provider"] == "cuda"
    assert told["cuda.arena_extend_strategy"] == "kSameAsRequested"
    assert told["cuda.use_tf32"] == "0"
    assert (told["cuda_graphs"], told["max_run_tokens"]) == ("1", "4096")


@cpu_runtime
def test_what_the_backend_says_of_the_gpu_is_followed_by_no_advice_to_build() -> None:
    engine, options = tiny_engine().SerializeToString(), ort.SessionOptions()
    with pytest.raises(sub50_cuda.NotOnGpu) as caught:
        sub50_cuda.open_session(engine, options, {})
    told = not_served({MODEL: str(caught.value)})
    assert told.startswith("Model topics cannot be served: the engine is to run on a GPU, and this")
    assert told.endswith("`sub50 engines tune MODEL --reset`")
    assert "engines build general`" in not_served({"general": "it is damaged", MODEL: told})


def test_no_file_may_tell_the_backend_itself() -> None:
    assert "execution_provider" not in PARAMETERS
    assert not any(name.startswith("cuda.") for name in PARAMETERS)


def test_a_model_on_processors_is_told_nothing_of_gpus(tmp_path: Path) -> None:
    text = embedded_config(write_tiny_model(tmp_path))
    assert "cuda" not in text
    assert "execution_provider" not in text

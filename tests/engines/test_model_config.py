from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from engines.catalog import CATALOG, ModelSpec
from engines.errors import EngineError
from engines.model_config import (
    CONFIG_FILE,
    LABELS_FILE,
    REPOSITORY,
    config_text,
    model_config,
    read_config,
    tuned_config,
    write_model_files,
)
from engines.runtimes import Candidate

SPECS = list(CATALOG.values())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_committed_files_are_those_written_anew(spec: ModelSpec, tmp_path: Path) -> None:
    write_model_files(spec, tmp_path)
    for written in (tmp_path / spec.name).iterdir():
        committed = REPOSITORY / spec.name / written.name
        assert committed.read_text() == written.read_text(), (
            "run `python -m engines.model_config` and commit what it writes"
        )


@pytest.mark.parametrize("name", list(CATALOG))
def test_what_is_written_is_what_is_read(name: str, tmp_path: Path) -> None:
    write_model_files(CATALOG[name], tmp_path)
    config = read_config(tmp_path / name / CONFIG_FILE)
    assert config == model_config(CATALOG[name])
    assert config.backend == "onnxruntime"
    assert config.HasField("dynamic_batching")
    assert list(config.output[0].dims) == [CATALOG[name].width]


def test_openvino_is_told_of_an_engine_that_takes_short_texts_alone() -> None:
    def told(backend: Literal["onnxruntime", "openvino"], max_tokens: int) -> str | None:
        candidate = Candidate(backend, "INT8", 1, 1)
        parameters = tuned_config(CATALOG["topics"], candidate, 16, max_tokens).parameters
        return parameters["max_tokens"].string_value if "max_tokens" in parameters else None

    assert told("openvino", 128) == "128"
    assert told("openvino", 512) is None
    assert told("onnxruntime", 128) is None


def test_an_engine_for_a_gpu_is_told_as_the_c_plus_plus_backend_reads_it() -> None:
    candidate = Candidate("onnxruntime", "FP16", 1, 2)
    text = config_text(tuned_config(CATALOG["topics"], candidate, 64))
    assert text_format.Parse(text, model_config_pb2.ModelConfig()).instance_group[0].count == 2
    written = " ".join(text.split())
    assert "kind: KIND_GPU" in written
    assert "KIND_CPU" not in written
    accelerator = written.partition("gpu_execution_accelerator { ")[2]
    assert accelerator.startswith('name: "cuda" parameters { key: "arena_extend_strategy"')
    assert 'default_model_filename: "model.fp16.onnx"' in written
    parameters = tuned_config(CATALOG["topics"], candidate, 64).parameters
    assert parameters["max_run_tokens"].string_value == "4096"
    assert parameters["cuda_graphs"].string_value == "1"
    # Graphs of recorded runs need fixed places, which NVIDIA's backend does not keep.
    assert "enable_cuda_graph" not in written


def test_labels_are_in_the_order_of_the_output(tmp_path: Path) -> None:
    write_model_files(CATALOG["topics"], tmp_path)
    labels = (tmp_path / "topics" / LABELS_FILE).read_text().splitlines()
    assert labels == ["World", "Sports", "Business", "Sci/Tech"]


def broken(change: str) -> model_config_pb2.ModelConfig:
    config = model_config(CATALOG["topics"])
    if change == "name":
        config.name = "other"
    elif change == "input":
        del config.input[1]
    elif change == "output":
        config.output[0].name = "scores"
    elif change == "max_batch_size":
        config.max_batch_size = 0
    elif change == "dynamic_batching":
        config.ClearField("dynamic_batching")
    elif change == "priority_levels":
        config.dynamic_batching.priority_levels = 2
    else:
        config.dynamic_batching.default_queue_policy.max_queue_size = 4
    return config


@pytest.mark.parametrize(
    "change",
    [
        *("name", "input", "output", "max_batch_size"),
        *("dynamic_batching", "priority_levels", "default_queue_policy"),
    ],
)
def test_a_configuration_that_breaks_a_promise_is_refused_by_field(
    change: str, tmp_path: Path
) -> None:
    path = tmp_path / "topics" / CONFIG_FILE
    path.parent.mkdir()
    path.write_text(config_text(broken(change)))
    with pytest.raises(EngineError, match=change):
        read_config(path)


@pytest.mark.parametrize("text", ["max_batch_size: many", "no_such_field: 1", "name: {"])
def test_a_malformed_configuration_is_refused_by_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / CONFIG_FILE
    path.write_text(text)
    with pytest.raises(EngineError, match=f"{path} is not a model configuration"):
        read_config(path)


def test_a_missing_configuration_says_how_to_write_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"python -m engines\.model_config"):
        read_config(tmp_path / CONFIG_FILE)

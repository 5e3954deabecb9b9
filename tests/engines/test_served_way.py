"""How an engine is served is read from config.pbtxt, whatever its card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.card import ENGINE_FILE, read_card
from engines.catalog import CATALOG
from engines.errors import EngineError
from engines.model_config import CONFIG_FILE, config_text, tuned_config, write_model_files
from engines.runtimes import Candidate
from engines.served_way import served_way, way_of
from tests.engines.tuned_repository import serve_by, write_built


@pytest.mark.parametrize(
    "candidate",
    [
        Candidate("onnxruntime", "INT8", 3, 2),
        Candidate("onnxruntime", "FP32", 1, 4),
        Candidate("onnxruntime", "FP16", 1, 2),
        Candidate("openvino", "INT8", 2, 1),
        Candidate("openvino", "BF16", 1, 2),
    ],
)
def test_a_configuration_is_read_back_as_it_was_chosen(candidate: Candidate) -> None:
    found = way_of(tuned_config(CATALOG["topics"], candidate, 16))
    assert found.as_dict() == candidate.as_dict()
    assert found.engine_file == candidate.engine_file


def test_a_runtime_that_takes_no_onnx_is_named() -> None:
    config = tuned_config(CATALOG["topics"], Candidate("onnxruntime", "INT8", 1, 1), 16)
    config.backend = "tensorrt"
    with pytest.raises(EngineError, match=r"of topics names the runtime 'tensorrt'"):
        way_of(config)


def test_without_a_configuration_the_card_decides(tmp_path: Path) -> None:
    write_model_files(CATALOG["topics"], tmp_path)
    version = tmp_path / "topics" / "1"
    write_built(version)
    fp32 = Candidate("onnxruntime", "FP32", 1, 4)
    serve_by(tmp_path, fp32)
    (tmp_path / "topics" / CONFIG_FILE).unlink()
    assert served_way(read_card(version), version) == fp32


def test_what_the_configuration_says_goes_before_what_won_elsewhere(tmp_path: Path) -> None:
    """A version that was tuned to FP32 where it was made, copied to where nothing is tuned."""
    write_model_files(CATALOG["topics"], tmp_path)
    version = tmp_path / "topics" / "1"
    write_built(version)
    serve_by(tmp_path, Candidate("onnxruntime", "FP32", 1, 4))
    for candidate in (Candidate("openvino", "BF16", 1, 2), Candidate("openvino", "INT8", 1, 2)):
        config = config_text(tuned_config(CATALOG["topics"], candidate, 16))
        (tmp_path / "topics" / CONFIG_FILE).write_text(config)
        found = served_way(read_card(version), version)
        assert (found.label, found.engine_file) == (candidate.label, candidate.engine_file)
    write_model_files(CATALOG["topics"], tmp_path)
    found = served_way(read_card(version), version)
    assert (found.backend, found.precision) == ("onnxruntime", "INT8")
    assert found.engine_file == ENGINE_FILE

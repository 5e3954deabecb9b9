"""The OpenVINO backend, with a stand-in for the module that Triton gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.service.triton.stand_in import (
    Request,
    answers_of,
    assert_own_answers,
    count_runs,
    ids_of,
    padded,
)

pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'sub50[openvino]'")


@pytest.fixture
def backend(import_backend: Callable[[str], ModuleType]) -> ModuleType:
    return import_backend("openvino")


def parameters(**values: str) -> dict[str, Any]:
    return {"parameters": {name: {"string_value": value} for name, value in values.items()}}


def test_texts_of_mixed_length_get_their_own_answers(load: Callable[..., Any]) -> None:
    model = load(**parameters(INFERENCE_NUM_THREADS="1"))
    runs = count_runs(model)
    requests = [padded([5, 128, 100], 128), padded([40], 64), Request(ids_of(2, 16))]
    answers = answers_of(requests, model.execute(requests))
    assert_own_answers(requests, answers)
    assert runs == [(3, 16), (1, 48), (2, 128)]


def test_every_shape_that_can_be_asked_for_is_run_once_before_the_first_request(
    backend: ModuleType, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    run = backend.TritonPythonModel.run

    def counting(self: Any, inputs: list[np.ndarray]) -> Any:
        shapes.append(inputs[0].shape)
        return run(self, inputs)

    monkeypatch.setattr(backend.TritonPythonModel, "run", counting)
    model = load(**parameters(max_run_tokens="128", INFERENCE_NUM_THREADS="1"))
    warm = set(shapes)
    assert {(8, 16), (4, 32), (1, 128), (1, 512)} <= warm
    assert all(rows * length <= 128 or rows == 1 for rows, length in warm)
    shapes.clear()
    requests = [padded([20] * 5, 24), padded([90, 7], 96)]
    answers_of(requests, model.execute(requests))
    assert set(shapes) <= warm


def test_an_engine_of_short_texts_is_run_at_no_longer_ones(backend: ModuleType) -> None:
    assert backend.lengths_of(parameters(max_tokens="128")) == (16, 24, 32, 48, 64, 96, 128)
    assert backend.lengths_of({})[-1] == 512
    for wrong in ("8", "many"):
        with pytest.raises(ValueError, match=wrong):
            backend.lengths_of(parameters(max_tokens=wrong))


def test_a_request_that_fails_does_not_fail_the_others(load: Callable[..., Any]) -> None:
    model = load()
    model.batcher.engine = refusing(model.batcher.engine)
    requests = [padded([10], 16), padded([12], 16), padded([40], 64)]
    requests[1].ids[0, 0] = 5000
    answers = answers_of(requests, model.execute(requests))
    assert "no such word" in answers[1].error
    assert_own_answers([requests[0], requests[2]], [answers[0], answers[2]])


def refusing(engine: Any) -> Any:
    """OpenVINO clamps an index outside a table, so the engine is made to refuse it."""

    def run(inputs: list[np.ndarray]) -> Any:
        if inputs[0].max() >= 1000:
            raise ValueError("no such word")
        return engine(inputs)

    return run


@pytest.mark.parametrize(
    ("given", "precision"),
    [
        ({}, "f32"),
        ({"HINT_BF16": "YES"}, "bf16"),
        ({"INFERENCE_PRECISION_HINT": "bf16"}, "bf16"),
        ({"HINT_BF16": "YES", "INFERENCE_PRECISION_HINT": "f32"}, "f32"),
    ],
)
def test_precision_is_never_chosen_by_the_processor(
    backend: ModuleType, given: dict[str, str], precision: str
) -> None:
    found = backend.properties(parameters(**given))
    assert found["INFERENCE_PRECISION_HINT"] == precision


def test_parameters_have_the_meaning_of_the_official_backend(backend: ModuleType) -> None:
    found = backend.properties(
        parameters(INFERENCE_NUM_THREADS="3", NUM_STREAMS="2", PERFORMANCE_HINT="THROUGHPUT")
    )
    assert found["INFERENCE_NUM_THREADS"] == "3"
    assert (found["NUM_STREAMS"], found["PERFORMANCE_HINT"]) == ("2", "THROUGHPUT")
    assert int(backend.properties({})["INFERENCE_NUM_THREADS"]) >= 1


def test_engine_that_cannot_be_loaded_fails_the_model(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"model\.onnx: .*'scores'.*'logits'"):
        load(output=[{"name": "scores"}])
    (tmp_path / "tiny" / "1" / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(Exception, match=r"tiny/1/model\.onnx: "):
        load()

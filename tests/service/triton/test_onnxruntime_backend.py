"""The Python-based backend, with a stand-in for the module that Triton gives it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from tests.fake_triton import sums
from tests.tiny_models import write_tiny_model

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Tensor:
    def __init__(self, name: str, array: np.ndarray) -> None:
        self.name, self.array = name, array

    def as_numpy(self) -> np.ndarray:
        return self.array


class Response:
    def __init__(self, output_tensors: list[Tensor], error: Any = None) -> None:
        self.output_tensors, self.error = output_tensors, error

    def logits(self) -> np.ndarray:
        assert self.error is None, self.error
        return self.output_tensors[0].as_numpy()


class Request:
    """A request; what is sent early, before the batch is through, lands in `sent`."""

    def __init__(self, ids: np.ndarray, names: tuple[str, ...] = INPUTS) -> None:
        self.ids = ids
        arrays = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        self.tensors = {n: Tensor(n, arrays.get(n, np.zeros_like(ids))) for n in names}
        self.sent: list[Response] = []

    def get_response_sender(self) -> Request:
        return self

    def send(self, response: Response, flags: int) -> None:
        assert flags == 1
        self.sent.append(response)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    utils = ModuleType("triton_python_backend_utils")
    names: dict[str, Any] = {
        "Tensor": Tensor,
        "InferenceResponse": Response,
        "TritonError": str,
        "TritonModelException": type("TritonModelException", (Exception,), {}),
        "TRITONSERVER_RESPONSE_COMPLETE_FINAL": 1,
        "get_input_tensor_by_name": lambda request, name: request.tensors.get(name),
    }
    for name, value in names.items():
        setattr(utils, name, value)
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", utils)
    module_name = "service.triton.backends.onnxruntime.model"
    yield importlib.import_module(module_name)
    del sys.modules[module_name]  # it is bound to the stand-in


@pytest.fixture
def load(backend: ModuleType, tmp_path: Path) -> Callable[..., Any]:
    folder = write_tiny_model(tmp_path)

    def load(**config: Any) -> Any:
        given = {
            "input": [{"name": name} for name in INPUTS],
            "output": [{"name": "logits"}],
        } | config
        arguments = {
            "model_name": "tiny",
            "model_config": json.dumps(given),
            "model_repository": str(folder),
            "model_version": "1",
        }
        model = backend.TritonPythonModel()
        model.initialize(arguments)
        return model

    return load


def answers_of(requests: list[Request], returned: list[Response | None]) -> list[Response]:
    """The one response of each request, sent or returned."""
    answers = []
    for request, response in zip(requests, returned, strict=True):
        found = [*request.sent, *([] if response is None else [response])]
        assert len(found) == 1, "every request gets exactly one response"
        answers += found
    return answers


def ids_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 1000, shape)


def test_equal_lengths_share_a_run_and_each_gets_its_rows(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    requests = [Request(ids_of(rows, 16)) for rows in (1, 3, 2)]
    answers = answers_of(requests, model.execute(requests))
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.logits(), sums(request.ids, np.ones_like(request.ids)))
    assert runs == [(6, 16)]


def test_short_texts_are_answered_before_long_ones_are_run(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    requests = [Request(ids_of(1, length)) for length in (64, 16, 64, 32, 16)]
    answers = answers_of(requests, model.execute(requests))
    for request, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.logits(), sums(request.ids, np.ones_like(request.ids)))
    assert runs == [(2, 16), (1, 32), (2, 64)]
    assert [len(request.sent) for request in requests] == [0, 1, 0, 1, 1]


def test_a_request_that_fails_does_not_fail_the_others(load: Callable[..., Any]) -> None:
    model = load()
    bad = ids_of(1, 16)
    bad[0, 0] = 5000
    requests = [
        Request(ids_of(1, 16)),
        Request(bad),
        Request(ids_of(2, 16)),
        Request(ids_of(1, 32)),
        Request(ids_of(1, 16), names=INPUTS[:1]),
    ]
    answers = answers_of(requests, model.execute(requests))
    assert "the engine failed" in answers[1].error
    assert "attention_mask" in answers[4].error
    for index in (0, 2, 3):
        ids = requests[index].ids
        np.testing.assert_array_equal(answers[index].logits(), sums(ids, np.ones_like(ids)))


def test_parameters_have_the_meaning_of_the_official_backend(backend: ModuleType) -> None:
    parameters = {
        "intra_op_thread_count": "3",
        "inter_op_thread_count": "2",
        "execution_mode": "1",
        "enable_mem_arena": "0",
        "enable_mem_pattern": "false",
        "session.intra_op.allow_spinning": "1",
    }
    options = backend.session_options(
        {
            "parameters": {key: {"string_value": value} for key, value in parameters.items()},
            "optimization": {"graph": {"level": 1}},
        }
    )
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == ort.ExecutionMode.ORT_PARALLEL
    assert not options.enable_cpu_mem_arena
    assert not options.enable_mem_pattern
    extended = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    assert options.graph_optimization_level == extended
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"


def test_without_parameters_threads_fit_the_cores_and_do_not_spin(backend: ModuleType) -> None:
    options = backend.session_options({})
    assert options.intra_op_num_threads == backend.usable_cores() >= 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_cores_are_those_of_the_container(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, cores: int
) -> None:
    monkeypatch.setattr(backend.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(backend, "CGROUP_CPU_LIMIT", tmp_path / "cpu.max")
    if limit:
        (tmp_path / "cpu.max").write_text(limit + "\n")
    assert backend.usable_cores() == cores


def test_engine_that_cannot_be_loaded_fails_the_model(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"model\.onnx: .*'scores'.*'logits'"):
        load(output=[{"name": "scores"}])
    (tmp_path / "tiny" / "1" / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(Exception, match=r"tiny/1/model\.onnx: "):
        load()


def count_runs(model: Any) -> list[tuple[int, int]]:
    """Shapes of the engine's runs, in order, filled as they happen."""
    shapes: list[tuple[int, int]] = []
    run = model.run

    def counting(inputs: list[np.ndarray]) -> Any:
        shapes.append(inputs[0].shape)
        return run(inputs)

    model.run = counting
    return shapes

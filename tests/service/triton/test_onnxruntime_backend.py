"""The ONNX Runtime backend, with a stand-in for the module that Triton gives it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from core.sub50_cuda import PROVIDER as GPU_PROVIDER
from tests.fake_triton import sums
from tests.service.triton.stand_in import (
    INPUTS,
    Request,
    answers_of,
    assert_own_answers,
    count_runs,
    ids_of,
    padded,
)
from tests.tiny_models import write_tiny_model


@pytest.fixture
def backend(import_backend: Callable[[str], ModuleType]) -> ModuleType:
    return import_backend("onnxruntime")


def test_openvino_is_not_needed(
    monkeypatch: pytest.MonkeyPatch,
    import_backend: Callable[[str], ModuleType],
    load_model: Callable[..., Any],
    tmp_path: Path,
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # as if it were not installed
    model = load_model(import_backend("onnxruntime"), write_tiny_model(tmp_path))
    request = padded([10], 16)
    assert_own_answers([request], answers_of([request], model.execute([request])))


def test_equal_lengths_share_a_run_and_each_gets_its_rows(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    requests = [Request(ids_of(rows, 16)) for rows in (1, 3, 2)]
    answers = answers_of(requests, model.execute(requests))
    assert_own_answers(requests, answers)
    assert runs == [(6, 16)]


def test_short_texts_are_answered_before_long_ones_are_run(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    requests = [Request(ids_of(1, length)) for length in (64, 16, 64, 32, 16)]
    answers = answers_of(requests, model.execute(requests))
    assert_own_answers(requests, answers)
    assert runs == [(2, 16), (1, 32), (2, 64)]
    assert [len(request.sent) for request in requests] == [0, 1, 0, 1, 1]


def test_padding_is_not_run_and_changes_no_answer(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    requests = [padded([5, 128, 100], 128), padded([20, 17], 24), padded([40], 64)]
    answers = answers_of(requests, model.execute(requests))
    assert_own_answers(requests, answers)
    # The text of 5 joins those of 17 and 20: 15 tokens more, where a run of its own costs 16.
    assert runs == [(3, 20), (1, 40), (1, 100), (1, 128)]
    assert [len(request.sent) for request in requests] == [0, 1, 1]


def test_a_run_holds_no_more_tokens_than_its_limit(load: Callable[..., Any]) -> None:
    model = load(parameters={"max_run_tokens": {"string_value": "256"}})
    runs = count_runs(model)
    requests = [padded([64] * 6, 64), padded([512], 512)]
    assert_own_answers(requests, answers_of(requests, model.execute(requests)))
    assert runs == [(4, 64), (2, 64), (1, 512)]


def test_a_mask_with_holes_is_run_at_its_full_width(load: Callable[..., Any]) -> None:
    model = load()
    runs = count_runs(model)
    request = padded([10, 10], 64)
    request.mask[0, 3] = 0
    assert_own_answers([request], answers_of([request], model.execute([request])))
    assert runs == [(1, 10), (1, 64)]


def test_a_text_fails_no_other_request_of_its_runs(load: Callable[..., Any]) -> None:
    model = load()
    requests = [padded([10, 60], 64), padded([12, 50], 64), padded([60], 64)]
    requests[1].ids[0, 0] = 5000
    answers = answers_of(requests, model.execute(requests))
    assert "the engine failed" in answers[1].error
    assert_own_answers([requests[0], requests[2]], [answers[0], answers[2]])


def test_an_output_of_another_leading_size_fails_by_name(load: Callable[..., Any]) -> None:
    model = load()
    model.batcher.engine = lambda inputs: [np.zeros((7, 2), np.float32)]
    request = padded([10, 12], 16)
    (answer,) = answers_of([request], model.execute([request]))
    assert "output logits is (7, 2) for 2 rows" in answer.error


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
    assert options.intra_op_num_threads == sys.modules["sub50_batches"].usable_cores() >= 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_ALL


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", 8), ("150000 100000", 2), ("50000 100000", 1), ("", 8)]
)
def test_cores_are_those_of_the_container(
    backend: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, cores: int
) -> None:
    batches = sys.modules["sub50_batches"]
    monkeypatch.setattr(batches, "CORES", set(range(8)))
    monkeypatch.setattr(batches, "CGROUP_CPU_LIMIT", tmp_path / "cpu.max")
    if limit:
        (tmp_path / "cpu.max").write_text(limit + "\n")
    assert batches.usable_cores() == cores


def on_gpu(**options: str) -> dict[str, Any]:
    """What the service tells the backend of a model whose file asks for a GPU."""
    given = {"execution_provider": "cuda", "max_run_tokens": "256"} | options
    return {"parameters": {key: {"string_value": value} for key, value in given.items()}}


def test_options_of_the_gpu_come_from_the_configuration(backend: ModuleType) -> None:
    given = on_gpu(**{"cuda.use_tf32": "0", "cuda_graphs": "1"})
    assert backend.cuda_options(given) == {
        "device_id": "0",
        "use_tf32": "0",
        "enable_cuda_graph": "1",
    }
    assert backend.cuda_options(on_gpu())["enable_cuda_graph"] == "0"
    assert backend.cuda_options({}) is None


@pytest.mark.skipif(GPU_PROVIDER in ort.get_available_providers(), reason="there may be a GPU")
def test_a_gpu_that_cannot_be_used_fails_the_model_and_says_what_is_needed(
    load: Callable[..., Any],
) -> None:
    with pytest.raises(Exception, match=rf"not {GPU_PROVIDER}; .*driver 580 or newer.*--reset"):
        load(**on_gpu())


@pytest.fixture
def as_on_gpu(
    backend: ModuleType, load: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A model with all but the GPU itself: the processor's provider stands in for it."""

    def on_processor(engine: bytes, options: Any, chosen: dict[str, str]) -> Any:
        assert chosen["enable_cuda_graph"] == "1"
        return ort.InferenceSession(engine, options, providers=["CPUExecutionProvider"])

    cuda = backend.sub50_cuda
    monkeypatch.setattr(cuda, "open_session", on_processor)
    monkeypatch.setattr(cuda, "BoundEngine", partial(cuda.BoundEngine, device="cpu"))
    return load(**on_gpu(cuda_graphs="1"))


def test_an_engine_on_a_gpu_is_run_in_few_shapes_all_of_them_before_the_first_request(
    as_on_gpu: Any,
) -> None:
    model = as_on_gpu
    warm = set(model.bound.buffers)
    assert {(16, 16), (1, 512), (2, 128), (1, 16)} <= warm
    requests = [padded([5, 128, 100], 128), padded([20, 17], 24), padded([40], 64)]
    requests += [Request(ids_of(3, 16)), Request(ids_of(1, 50))]
    assert_own_answers(requests, answers_of(requests, model.execute(requests)))
    assert set(model.bound.buffers) == warm


class Ended(BaseException):
    """What stands for the end of the process."""


def test_a_gpu_that_runs_nothing_any_more_ends_the_process(
    backend: ModuleType,
    as_on_gpu: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(status: int) -> None:
        raise Ended(status)

    class Lost:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("CUDA failure 719: unspecified launch failure")

    monkeypatch.setattr(backend.os, "_exit", end)
    as_on_gpu.bound.session = Lost()
    with pytest.raises(Ended, match=str(backend.GPU_LOST_STATUS)):
        as_on_gpu.execute([padded([5], 16)])
    assert "the GPU runs nothing any more: CUDA failure 719" in capsys.readouterr().err


def test_a_run_that_fails_on_a_gpu_that_is_well_fails_its_request_alone(as_on_gpu: Any) -> None:
    holed, whole = padded([10], 16), padded([12], 16)
    holed.mask[0, 3] = 0
    answers = answers_of([holed, whole], as_on_gpu.execute([holed, whole]))
    assert "padding has to stand at the end" in answers[0].error
    assert_own_answers([whole], answers[1:])


def test_engine_that_cannot_be_loaded_fails_the_model(
    load: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"model\.onnx: .*'scores'.*'logits'"):
        load(output=[{"name": "scores"}])
    (tmp_path / "tiny" / "1" / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(Exception, match=r"tiny/1/model\.onnx: "):
        load()
